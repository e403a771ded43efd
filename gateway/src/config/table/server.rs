//! Where the server is and what it keeps everything in.

use std::net::SocketAddr;

use super::{CONFIG_VARIABLE, ROW, Setting, path, set};
use crate::config::values;

pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        key: "config",
        variable: CONFIG_VARIABLE,
        about: "Your own file of settings, laid over the defaults; without it starscreen.toml, if there is one.",
        optional: true,
        ..ROW
    },
    Setting {
        key: "listen",
        variable: "STARSCREEN_LISTEN",
        about: "Address and port that the server listens on; 0.0.0.0:8000 lets other machines in.",
        allowed: "it must be an IP address and a port, such as 127.0.0.1:8000",
        set: |draft, found| set(&mut draft.settings.listen, found.text.parse::<SocketAddr>().ok()),
        ..ROW
    },
    Setting {
        key: "data_dir",
        variable: "STARSCREEN_DATA_DIR",
        about: "Directory of everything that is kept; one server a directory.",
        allowed: "it must be a path",
        set: |draft, found| {
            let path = path(&draft.working_dir, found.text);
            set(&mut draft.settings.data_dir, Some(path))
        },
        ..ROW
    },
    Setting {
        key: "database_url",
        variable: "DATABASE_URL",
        about: "PostgreSQL to keep everything in, such as postgres://user:password@host/database. Without it the store \
            is embedded, in the data directory.",
        allowed: "it must begin with postgres:// or postgresql://",
        optional: true,
        secret: true, // it may hold a password
        set: |draft, found| set(&mut draft.settings.database.url, values::database_url(found.text).map(Some)),
    },
    Setting {
        key: "database_connections",
        variable: "STARSCREEN_DATABASE_CONNECTIONS",
        about: "Connections to PostgreSQL that one process may use.",
        allowed: "it must be a whole number from 8 to 500",
        set: |draft, found| set(&mut draft.settings.database.connections, values::number(found.text, 8..=500)),
        ..ROW
    },
    Setting {
        key: "nats_url",
        variable: "NATS_URL",
        about: "NATS server to distribute events with, such as nats://user:password@host:4222. Needs PostgreSQL; \
            without it everybody reads the events there.",
        allowed: "it must begin with nats:// or tls://",
        optional: true,
        secret: true, // it may hold a password
        set: |draft, found| set(&mut draft.settings.nats.url, values::nats_url(found.text).map(Some)),
    },
    Setting {
        key: "metrics_listen",
        variable: "STARSCREEN_METRICS_LISTEN",
        about: "Address and port of GET /metrics for Prometheus, in every part, such as 127.0.0.1:9464. Without it \
            there is none. Whoever reaches it reads it: keep it from outside.",
        allowed: "it must be an IP address and a port, such as 127.0.0.1:9464",
        optional: true,
        set: |draft, found| set(&mut draft.settings.metrics_listen, found.text.parse::<SocketAddr>().ok().map(Some)),
        ..ROW
    },
];
