//! What a history must be when all its work is done, whatever happened to the process that wrote it.

use std::collections::{BTreeMap, BTreeSet};

use starscreen_domain::{Event, candidate::CandidateEvent, job::JobEvent};
use uuid::Uuid;

use crate::{Ledger, Stored};

/// Candidates with all that happened to each.
pub struct Lives {
    pub candidates: BTreeMap<Uuid, Vec<CandidateEvent>>,
    rubrics: BTreeMap<Uuid, Vec<u32>>,
}

impl Lives {
    /// Checks that no position is missing.
    pub fn of(history: Vec<Stored>) -> Self {
        let mut lives = Self { candidates: BTreeMap::new(), rubrics: BTreeMap::new() };
        let mut tenant_positions: BTreeMap<_, i64> = BTreeMap::new();
        for (stored, expected) in history.into_iter().zip(1..) {
            assert_eq!(stored.position, expected, "positions have a gap");
            if let Some(tenant) = stored.tenant {
                let last = tenant_positions.entry(tenant).or_default();
                *last += 1;
                assert_eq!(stored.tenant_position, Some(*last), "positions of {tenant} have a gap");
            }
            match stored.event {
                Event::Candidate(event) => lives.candidates.entry(stored.aggregate_id).or_default().push(event),
                Event::Job(JobEvent::RubricRecorded { version, .. }) => {
                    lives.rubrics.entry(stored.aggregate_id).or_default().push(version);
                }
                Event::Job(_)
                | Event::Account(_)
                | Event::EmailClaim(_)
                | Event::Subscription(_)
                | Event::Usage(_)
                | Event::Customer(_)
                | Event::Webhook(_) => {}
            }
        }
        lives
    }

    /// Every candidate that clients were told of is there once, there is no other, and each came to one end.
    pub fn check(&self, told: &[Uuid]) {
        let names: BTreeSet<Uuid> = told.iter().copied().collect();
        assert_eq!(names.len(), told.len(), "two uploads were given one candidate");
        let there: BTreeSet<Uuid> = self.candidates.keys().copied().collect();
        let [lost, unheard] = [&names - &there, &there - &names];
        assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
        assert!(unheard.is_empty(), "nobody was told of them: {unheard:?}");
        for (id, events) in &self.candidates {
            self.check_life(*id, events);
        }
    }

    pub fn deleted(&self, candidate: Uuid) -> bool {
        self.count(candidate, |event| matches!(event, CandidateEvent::CandidateDeleted { .. })) > 0
    }

    /// Its slot was given back.
    pub fn failed(&self, candidate: Uuid) -> bool {
        self.count(candidate, |event| matches!(event, CandidateEvent::ExtractionFailed { .. })) > 0
    }

    fn count(&self, candidate: Uuid, wanted: fn(&CandidateEvent) -> bool) -> usize {
        self.candidates[&candidate].iter().filter(|event| wanted(event)).count()
    }

    fn check_life(&self, id: Uuid, events: &[CandidateEvent]) {
        let (mut uploaded, mut started, mut read, mut failed, mut deleted) = (0, 0, 0, 0, 0);
        let (mut last_rubric, mut requested, mut scored) = (None, vec![], vec![]);
        for event in events {
            assert_eq!(deleted, 0, "{id} lives on after its deletion: {events:#?}");
            match event {
                CandidateEvent::ResumeUploaded { job_id, .. } => {
                    uploaded += 1;
                    last_rubric = self.rubrics.get(&job_id.0).and_then(|versions| versions.last().copied());
                }
                CandidateEvent::ExtractionStarted {} => started += 1,
                CandidateEvent::TextExtracted { .. } => read += 1,
                CandidateEvent::ExtractionFailed { .. } => failed += 1,
                CandidateEvent::ScoringRequested { rubric_version } => requested.push(*rubric_version),
                CandidateEvent::CandidateScored { rubric_version, .. } => scored.push(*rubric_version),
                CandidateEvent::CandidateDeleted { .. } => deleted += 1,
                CandidateEvent::HiddenTextDetected { .. } | CandidateEvent::ScoringAwaited {} => {}
                CandidateEvent::ScoringFailed { .. } | CandidateEvent::CandidateRetried { .. } => {
                    panic!("{id}: {events:#?}")
                }
            }
        }
        assert_eq!(uploaded, 1, "{id}: {events:#?}");
        assert!(started <= 1 && read + failed <= 1, "{id} was read twice: {events:#?}");
        // By each rubric once; an old one may be passed over when the new one comes first, the last one may not.
        for versions in [&requested, &scored] {
            assert!(versions.is_sorted_by(|a, b| a < b), "{id} twice by one rubric: {events:#?}");
        }
        assert!(scored.iter().all(|version| requested.contains(version)), "{id}: {events:#?}");
        if deleted == 0 {
            let expected = last_rubric.filter(|_| read == 1);
            assert_eq!((started, read + failed), (1, 1), "{id} is not read: {events:#?}");
            assert!(failed == 1 || expected.is_some(), "{id} has no rubric: {events:#?}");
            assert_eq!((requested.last().copied(), scored.last().copied()), (expected, expected), "{id}: {events:#?}");
        }
    }
}

impl Ledger {
    /// Of the candidates that were taken in each took one slot; it was given back where the resume failed, and is used
    /// for good by every other, deleted ones too.
    pub fn check(&self, taken: &[Uuid], lives: &Lives) {
        let sorted = |slots: &mut dyn Iterator<Item = Uuid>| {
            let mut slots: Vec<Uuid> = slots.collect();
            slots.sort_unstable();
            slots
        };
        let of = |slots: &[starscreen_domain::CandidateId]| sorted(&mut slots.iter().map(|candidate| candidate.0));
        assert_eq!(of(&self.reserved), sorted(&mut taken.iter().copied()), "one slot for each candidate");
        let (failed, used): (Vec<Uuid>, Vec<Uuid>) = taken.iter().partition(|candidate| lives.failed(**candidate));
        assert_eq!(of(&self.released), sorted(&mut failed.into_iter()), "slots that were given back");
        assert_eq!(of(&self.committed), sorted(&mut used.into_iter()), "slots that are used for good");
    }
}
