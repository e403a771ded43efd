//! Where resume files are kept, and how large one may be.

use super::{ROW, Setting, set};
use crate::config::values;

pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        key: "objects.url",
        variable: "STARSCREEN_OBJECTS_URL",
        about: "Bucket of S3, or of any store that speaks its interface, to keep files in, such as s3://bucket/prefix. \
            Without it they are kept in the data directory, which several servers then have to share.",
        allowed: "it must be a bucket with or without a prefix, such as s3://starscreen-files/production",
        optional: true,
        set: |draft, found| set(&mut draft.settings.objects.bucket, values::bucket(found.text).map(Some)),
        ..ROW
    },
    Setting {
        key: "objects.endpoint",
        variable: "STARSCREEN_OBJECTS_ENDPOINT",
        about: "Where the store is, if not at AWS, such as https://minio.internal:9000.",
        allowed: "it must be an address such as https://minio.internal:9000",
        optional: true,
        set: |draft, found| set(&mut draft.settings.objects.endpoint, values::base_url(found.text).map(Some)),
        ..ROW
    },
    Setting {
        key: "objects.public_endpoint",
        variable: "STARSCREEN_OBJECTS_PUBLIC_ENDPOINT",
        about: "Where clients reach the store for direct uploads, if they cannot reach it where this server does.",
        allowed: "it must be an address such as https://files.example.com",
        optional: true,
        set: |draft, found| set(&mut draft.settings.objects.public_endpoint, values::base_url(found.text).map(Some)),
        ..ROW
    },
    Setting {
        key: "objects.region",
        variable: "STARSCREEN_OBJECTS_REGION",
        about: "The bucket's region; requests are signed with it.",
        allowed: "it must be a region such as eu-central-1",
        set: |draft, found| set(&mut draft.settings.objects.region, values::region(found.text)),
        ..ROW
    },
    Setting {
        key: "objects.access_key",
        variable: "STARSCREEN_OBJECTS_ACCESS_KEY",
        about: "Name of the key to the store. Without it the key is looked for where AWS' own programs do: \
            AWS_ACCESS_KEY_ID, a web identity, the role of the machine.",
        allowed: "it must be a name without spaces of 1 to 128 characters",
        optional: true,
        set: |draft, found| set(&mut draft.settings.objects.access_key, values::key_name(found.text).map(Some)),
        ..ROW
    },
    Setting {
        key: "objects.secret_key",
        variable: "STARSCREEN_OBJECTS_SECRET_KEY",
        about: "The secret that goes with the access key.",
        optional: true,
        secret: true,
        set: |draft, found| set(&mut draft.settings.objects.secret_key, Some(Some(found.text.into()))),
        ..ROW
    },
    Setting {
        key: "objects.allow_http",
        variable: "STARSCREEN_OBJECTS_ALLOW_HTTP",
        about: "Whether the store may be spoken to without TLS; only where nobody can listen.",
        allowed: "it must be on or off",
        set: |draft, found| set(&mut draft.settings.objects.allow_http, values::switch(found.text)),
        ..ROW
    },
    Setting {
        key: "objects.encryption",
        variable: "STARSCREEN_OBJECTS_ENCRYPTION",
        about: "What the store is asked to encrypt files with, which are encrypted before they get there in any case: \
            none, AES256 or aws:kms.",
        allowed: "it must be none, AES256 or aws:kms",
        set: |draft, found| set(&mut draft.settings.objects.encryption, values::encryption(found.text)),
        ..ROW
    },
    Setting {
        key: "objects.kms_key",
        variable: "STARSCREEN_OBJECTS_KMS_KEY",
        about: "Key of aws:kms, by its id or ARN; without it the account's own.",
        allowed: "it must be a key's id or ARN without spaces",
        optional: true,
        set: |draft, found| set(&mut draft.settings.objects.kms_key, values::kms_key(found.text).map(Some)),
        ..ROW
    },
    Setting {
        key: "objects.timeout_seconds",
        variable: "STARSCREEN_OBJECTS_TIMEOUT_SECONDS",
        about: "How long storing or fetching one file may take, all tries together; then callers are told to come back.",
        allowed: "it must be a whole number of seconds from 1 to 60",
        set: |draft, found| set(&mut draft.settings.objects.timeout_seconds, values::number(found.text, 1..=60)),
        ..ROW
    },
    Setting {
        key: "objects.direct_uploads",
        variable: "STARSCREEN_OBJECTS_DIRECT_UPLOADS",
        about: "Whether clients may send a file straight to the bucket. Until it is taken in, or for two hours, it then \
            lies there as it was sent, not encrypted by this server.",
        allowed: "it must be on or off",
        set: |draft, found| set(&mut draft.settings.objects.direct_uploads, values::switch(found.text)),
        ..ROW
    },
    Setting {
        key: "uploads.max_file_bytes",
        variable: "STARSCREEN_UPLOADS_MAX_FILE_BYTES",
        about: "Largest resume file, in bytes.",
        allowed: "it must be a whole number of bytes from 1024 to 33554432 (32 MB, what the reader of files takes)",
        set: |draft, found| {
            set(&mut draft.settings.uploads.max_file_bytes, values::number(found.text, 1_024..=33_554_432))
        },
        ..ROW
    },
];
