-- Roles belong to the whole server: another database's migration may be making them at this moment, so whoever comes
-- second takes what is there. None can log in: the program logs in as somebody else and acts as one of them.
DO $$
DECLARE
    wanted TEXT;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['starscreen_owner', 'starscreen_gateway', 'starscreen_worker', 'starscreen_projector',
        'starscreen_sequencer', 'starscreen_operator']
    LOOP
        BEGIN
            IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) THEN
                EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
            END IF;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
        END;
    END LOOP;
END
$$;

-- Since PostgreSQL 16, who may create roles gets their administration alone, and has to grant himself the rest. Two who
-- grant at once: "tuple concurrently updated", which is an internal error and passes.
DO $$
DECLARE
    wanted TEXT;
    may_act TEXT := CASE WHEN current_setting('server_version_num')::int >= 160000 THEN 'SET' ELSE 'MEMBER' END;
    with_set TEXT := CASE WHEN may_act = 'SET' THEN ' WITH SET TRUE' ELSE '' END;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['starscreen_owner', 'starscreen_gateway', 'starscreen_worker', 'starscreen_projector',
        'starscreen_sequencer', 'starscreen_operator']
    LOOP
        FOR attempt IN 1..10 LOOP
            EXIT WHEN pg_has_role(current_user, wanted, may_act);
            BEGIN
                EXECUTE format('GRANT %I TO CURRENT_USER', wanted) || with_set;
            EXCEPTION WHEN unique_violation OR internal_error THEN PERFORM pg_sleep(0.05);
            END;
        END LOOP;
    END LOOP;
END
$$;
