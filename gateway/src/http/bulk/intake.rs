//! From a received archive to its candidates.
//!
//! The archive is read twice. The first time every byte is inflated and judged and nothing is kept, so that a bomb in
//! the last entry is refused before the first is stored, and a repeated request gets its names without their having
//! been kept. The second time those that fit are stored, one at a time, and committed together.

use std::{
    collections::{HashMap, HashSet},
    fs::File,
};

use aws_lc_rs::digest;
use starscreen_commands::{
    CommandError, Committed, Context,
    append::Place,
    candidate::{self, NewResume, Upload, UploadedMany},
};
use starscreen_domain::{CandidateId, JobId, candidate::Contact, job::Job, usage::UsageError};
use tokio::sync::Semaphore;

use super::{ArchiveForm, BulkUploadResult, BulkUploadStatus};
use crate::{
    http::{
        App,
        caller::Caller,
        error::{ApiError, Code},
        upload::unknown_job,
    },
    outbound::{
        archive::{Archive, Entry, RefusedArchive},
        extract::{FileKind, sniff},
    },
};

/// Archives that are read at the same time; the others wait in their files.
static READING: Semaphore = Semaphore::const_new(4);

const SAME_CONTENT: &str = "The archive has the same file twice; it is taken in once.";
const NO_ROOM: &str =
    "Monthly candidate limit reached. Please upgrade your plan or wait for next billing cycle, then upload it again.";

/// An archive that was taken in, or had been before under the same key.
pub struct Taken {
    pub results: Vec<BulkUploadResult>,
    pub limit_reached: bool,
    pub remaining: Option<u32>,
    pub place: Place,
}

/// One file of the archive, judged.
struct Judged {
    entry: u32,
    file_name: String,
    /// Or why it is skipped, whatever room there is.
    kind: Result<FileKind, String>,
}

pub async fn take_in_archive(
    app: App,
    caller: Caller,
    job: JobId,
    context: Context,
    form: ArchiveForm,
) -> Result<Taken, ApiError> {
    let before = app.bus.answer::<UploadedMany>(&context).await?;
    if before.is_none() {
        let state = app.bus.read::<Job>(caller.tenant, job).await?;
        if !state.created || state.deleted {
            return Err(unknown_job(job));
        }
        form.check_name()?;
        if let Some((used, limit)) = candidate::exhausted(&app.bus, caller.tenant, context.at).await? {
            return Err(CommandError::from(UsageError::LimitReached { used, limit }).into());
        }
    }
    let _reading = READING.acquire().await.map_err(|_| CommandError::Stopped)?;
    let max_file_bytes = app.settings.uploads.max_file_bytes;
    let (archive, judged) = apart(move || judge(form.file, max_file_bytes)).await?;
    let committed = match before {
        Some(before) => before,
        None => Intake { app: &app, caller, job }.store_and_commit(context, archive, &judged).await?,
    };
    Ok(taken(judged, committed))
}

/// Runs what reads files where it may block.
async fn apart<T: Send + 'static>(
    read: impl FnOnce() -> Result<T, RefusedArchive> + Send + 'static,
) -> Result<T, ApiError> {
    match tokio::task::spawn_blocking(read).await {
        Ok(read) => read.map_err(|refused| refusal(&refused)),
        Err(_) => Err(CommandError::Stopped.into()),
    }
}

fn refusal(refused: &RefusedArchive) -> ApiError {
    match refused {
        RefusedArchive::Invalid => ApiError::new(Code::UnsupportedFile, refused.to_string()),
        RefusedArchive::TooManyEntries | RefusedArchive::TooLarge => {
            ApiError::new(Code::FileTooLarge, refused.to_string())
        }
        RefusedArchive::Unavailable(_) => ApiError::unavailable(refused),
    }
}

fn judge(file: File, max_file_bytes: u64) -> Result<(Archive<File>, Vec<Judged>), RefusedArchive> {
    let mut archive = Archive::open(file, max_file_bytes)?;
    let (mut judged, mut seen) = (vec![], HashSet::new());
    archive.look_through(|Entry { index, name, content }| {
        let kind = content.map_err(str::to_owned).and_then(|content| {
            let kind = sniff(name, content).map_err(|refused| refused.to_string())?;
            let digest = digest::digest(&digest::SHA256, content);
            let first = seen.insert(digest.as_ref().to_vec());
            if first { Ok(kind) } else { Err(SAME_CONTENT.to_owned()) }
        });
        let entry = u32::try_from(index).unwrap_or(u32::MAX); // there are at most a thousand
        judged.push(Judged { entry, file_name: name.to_owned(), kind });
    })?;
    Ok((archive, judged))
}

struct Intake<'a> {
    app: &'a App,
    caller: Caller,
    job: JobId,
}

impl Intake<'_> {
    /// Whatever the outcome is: what was stored and belongs to no candidate is removed again.
    async fn store_and_commit(
        &self,
        context: Context,
        archive: Archive<File>,
        judged: &[Judged],
    ) -> Result<Committed<UploadedMany>, ApiError> {
        let good = judged.iter().filter(|file| file.kind.is_ok()).count();
        if judged.is_empty() {
            let detail = "Invalid ZIP file. There is no file in it. Pack the resumes into a new ZIP archive.";
            return Err(ApiError::new(Code::UnsupportedFile, detail));
        }
        let room = candidate::remaining(&self.app.bus, self.caller.tenant, context.at).await?;
        let room = room.map_or(good, |room| usize::try_from(room).unwrap_or(usize::MAX));
        let mut uploads = vec![];
        let stored = self.store(archive, judged, room, &mut uploads).await;
        let outcome = match &stored {
            Ok(()) => candidate::upload_resumes(&self.app.bus, context, self.job, uploads.clone()).await,
            Err(_) => Err(CommandError::NotFound("file")), // not looked at below
        };
        let kept: HashSet<CandidateId> = match &outcome {
            Ok(committed) if !committed.replayed => committed.output.accepted.iter().map(|(_, id)| *id).collect(),
            _ => HashSet::new(),
        };
        if stored.is_err() || outcome.is_ok() || candidate::may_be_forgotten(&outcome) {
            for (_, upload) in uploads.iter().filter(|(_, upload)| !kept.contains(&upload.candidate)) {
                candidate::forget(self.app.objects.as_ref(), upload).await;
            }
        }
        stored?;
        outcome.map_err(|error| match error {
            CommandError::NotFound("job") => unknown_job(self.job),
            error => error.into(),
        })
    }

    async fn store(
        &self,
        mut archive: Archive<File>,
        judged: &[Judged],
        room: usize,
        uploads: &mut Vec<(u32, Upload)>,
    ) -> Result<(), ApiError> {
        let (vault, objects) = (self.app.vault.as_ref(), self.app.objects.as_ref());
        let good = judged.iter().filter_map(|file| file.kind.as_ref().ok().map(|kind| (file, kind)));
        for (file, kind) in good.take(room) {
            let index = usize::try_from(file.entry).unwrap_or(usize::MAX);
            let content;
            (archive, content) = apart(move || {
                let content = archive.content(index)?;
                Ok((archive, content))
            })
            .await?;
            let resume = NewResume {
                job: self.job,
                file_name: file.file_name.clone(),
                file_kind: kind.to_string(),
                content,
                given: Contact::default(),
                uploaded_by: self.caller.user,
            };
            let upload = candidate::store(vault, objects, self.caller.tenant, resume).await?;
            uploads.push((file.entry, upload));
        }
        Ok(())
    }
}

fn taken(judged: Vec<Judged>, Committed { output, place, .. }: Committed<UploadedMany>) -> Taken {
    let accepted: HashMap<u32, CandidateId> = output.accepted.into_iter().collect();
    let mut limit_reached = false;
    let results = judged
        .into_iter()
        .map(|Judged { entry, file_name, kind }| match (accepted.get(&entry), kind) {
            (Some(candidate), _) => BulkUploadResult {
                file_name,
                status: BulkUploadStatus::Accepted,
                candidate_id: Some(candidate.0),
                reason: None,
            },
            (None, kind) => {
                limit_reached |= kind.is_ok();
                let reason = kind.err().unwrap_or_else(|| NO_ROOM.to_owned());
                BulkUploadResult {
                    file_name,
                    status: BulkUploadStatus::Skipped,
                    candidate_id: None,
                    reason: Some(reason),
                }
            }
        })
        .collect();
    Taken { results, limit_reached, remaining: output.remaining, place }
}
