DROP TABLE candidate_status, candidate_status__next, evaluations, evaluations__next, jobs, jobs__next, accounts,
    accounts__next, subscriptions, subscriptions__next, monthly_usage, monthly_usage__next, parked, projection;
