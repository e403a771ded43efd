//! What belongs to one tenant is never shown to another, whatever is asked.

use super::{Store, fixtures::*, log::Log};
use crate::{RebuildOptions, candidate_status::ListCandidates, jobs::ListJobs};

pub async fn rows_of_another_tenant_are_never_returned(store: Store) {
    let log = Log::new();
    // The other tenant's candidate is even filed under this tenant's job id: the id alone must not open it.
    for (tenant, number) in [(TENANT, 1), (OTHER_TENANT, 2)] {
        log.add(tenant, job(number).0, job_created("Engineer"));
        log.add(tenant, candidate(number).0, uploaded());
        log.add(tenant, candidate(number).0, text_extracted(None));
        log.add(tenant, candidate(number).0, scored(Some(500)));
        log.add(tenant, usage(number).0, period_opened(0, Some(10)));
        log.add(tenant, usage(number).0, slots_reserved(3));
        log.add(tenant, tenant.0, registered(sealed("ada@example.org")));
        log.add(tenant, tenant.0, subscription_started(plan("free", Some(10))));
    }
    let models = store.open().await;
    let from = source(&log);
    models.rebuild_all(from.feed, from.opener, RebuildOptions::default(), |_| {}).await.unwrap();

    for (tenant, own, foreign) in [(TENANT, 1, 2), (OTHER_TENANT, 2, 1)] {
        let candidates = models.candidate_status();
        let page = candidates.list(tenant, JOB, ListCandidates::default()).await.unwrap();
        assert_eq!(page.rows.iter().map(|row| row.candidate_id).collect::<Vec<_>>(), [candidate(own)]);
        assert_eq!(page.total, 1);
        assert!(candidates.get(tenant, JOB, candidate(own)).await.unwrap().is_some());
        assert!(candidates.get(tenant, JOB, candidate(foreign)).await.unwrap().is_none());
        assert!(candidates.get(tenant, job(7), candidate(own)).await.unwrap().is_none(), "of another job");

        assert!(models.evaluations().get(tenant, candidate(own)).await.unwrap().is_some());
        assert!(models.evaluations().get(tenant, candidate(foreign)).await.unwrap().is_none());

        let page = models.jobs().list(tenant, ListJobs::default()).await.unwrap();
        assert_eq!(page.rows.iter().map(|row| row.job_id).collect::<Vec<_>>(), [job(own)]);
        assert_eq!(page.total, 1);
        assert!(models.jobs().get(tenant, job(own)).await.unwrap().is_some());
        assert!(models.jobs().get(tenant, job(foreign)).await.unwrap().is_none());
        assert!(models.jobs().exists(tenant, job(own)).await.unwrap());
        assert!(!models.jobs().exists(tenant, job(foreign)).await.unwrap());

        let account = models.accounts().get(tenant, USER).await.unwrap().unwrap();
        assert_eq!(account.tenant_id, tenant, "the same user id in both");
        assert_eq!(models.subscriptions().get(tenant).await.unwrap().unwrap().tenant_id, tenant);
        let used = models.monthly_usage().list(tenant).await.unwrap();
        assert_eq!(used.iter().map(|row| row.usage_id).collect::<Vec<_>>(), [usage(own)]);
        assert_eq!(models.monthly_usage().current(tenant, at(1)).await.unwrap().unwrap().tenant_id, tenant);
        let entries = async |number| models.usage_entries().list(tenant, usage(number), 10, None).await.unwrap();
        let page = entries(own).await;
        assert_eq!((page.total, page.rows[0].row.tenant_id, page.rows[1].balance), (2, tenant, 3));
        assert_eq!((entries(foreign).await.total, entries(foreign).await.rows), (0, vec![]));
    }
}
