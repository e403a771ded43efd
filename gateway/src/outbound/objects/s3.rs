//! A bucket of S3, or of a store that speaks its interface.
//!
//! One object is one PUT, signed over its content, so it is there whole or not at all. What goes wrong is told in a
//! sentence: the store's own answers are pages of XML, with what was signed in them.

use std::{sync::Arc, time::Duration};

use object_store::{
    BackoffConfig, ClientOptions, RetryConfig,
    aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey},
    path::Path as Location,
};
use secrecy::ExposeSecret;
use starscreen_commands::ports::ObjectsError;

use super::{Doors, ObjectFiles, unavailable};
use crate::config::{Bucket, Encryption, ObjectsSettings};

const CONNECT_AT_MOST: Duration = Duration::from_secs(2);
/// After a call that failed for a reason that may pass.
const MAX_RETRIES: usize = 3;
const BACKOFF: BackoffConfig =
    BackoffConfig { init_backoff: Duration::from_millis(50), max_backoff: Duration::from_millis(500), base: 2.0 };

/// What the store said, or did not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    #[error("the store refuses the key ({code})")]
    Refused { code: String },
    #[error("the store has no such bucket")]
    NoBucket,
    #[error("the store did not answer within {waited_seconds} s")]
    Slow { waited_seconds: u64 },
    #[error("the store failed ({code})")]
    Failed { code: String },
    #[error("the store cannot be reached")]
    Unreachable,
}

pub(super) fn open(settings: &ObjectsSettings, bucket: &Bucket) -> Result<ObjectFiles, ObjectsError> {
    let store = client(settings, bucket, settings.endpoint.as_deref())?;
    let doors = if settings.direct_uploads {
        let reached_at = settings.public_endpoint.as_deref().or(settings.endpoint.as_deref());
        Some(Doors { signer: Arc::new(client(settings, bucket, reached_at)?), headers: encryption_headers(settings) })
    } else {
        None
    };
    Ok(ObjectFiles {
        store: Arc::new(store),
        root: Location::parse(&bucket.prefix).map_err(unavailable)?,
        patience: Some(Duration::from_secs(settings.timeout_seconds)),
        doors,
    })
}

fn client(settings: &ObjectsSettings, bucket: &Bucket, endpoint: Option<&str>) -> Result<AmazonS3, ObjectsError> {
    let at_most = Duration::from_secs(settings.timeout_seconds);
    let options = ClientOptions::new()
        .with_allow_http(settings.allow_http)
        .with_connect_timeout(CONNECT_AT_MOST.min(at_most))
        .with_timeout(at_most);
    let mut builder = match (&settings.access_key, &settings.secret_key) {
        (Some(access), Some(secret)) => {
            AmazonS3Builder::new().with_access_key_id(access).with_secret_access_key(secret.expose_secret())
        }
        _ => AmazonS3Builder::from_env(),
    };
    builder = builder
        .with_bucket_name(&bucket.name)
        .with_region(&settings.region)
        .with_client_options(options)
        .with_retry(RetryConfig { backoff: BACKOFF, max_retries: MAX_RETRIES, retry_timeout: at_most })
        // A POST with many names is what other stores lack first.
        .with_disable_bulk_delete(true);
    builder = match endpoint {
        Some(endpoint) => builder.with_endpoint(endpoint).with_virtual_hosted_style_request(false),
        // A dot in the name would not fit the certificate of AWS.
        None => builder.with_virtual_hosted_style_request(!bucket.name.contains('.')),
    };
    for (key, value) in encryption_config(settings) {
        builder = builder.with_config(key.parse::<AmazonS3ConfigKey>().map_err(unavailable)?, value);
    }
    builder.build().map_err(unavailable)
}

fn encryption_config(settings: &ObjectsSettings) -> Vec<(&'static str, String)> {
    let kind = |kind: &str| ("aws_server_side_encryption", kind.to_owned());
    match settings.encryption {
        Encryption::None => vec![],
        Encryption::Aes256 => vec![kind("AES256")],
        Encryption::Kms => {
            let key = settings.kms_key.iter().map(|key| ("aws_sse_kms_key_id", key.clone()));
            [kind("aws:kms")].into_iter().chain(key).collect()
        }
    }
}

fn encryption_headers(settings: &ObjectsSettings) -> Vec<(&'static str, String)> {
    let kind = |kind: &str| ("x-amz-server-side-encryption", kind.to_owned());
    match settings.encryption {
        Encryption::None => vec![],
        Encryption::Aes256 => vec![kind("AES256")],
        Encryption::Kms => {
            let key = settings.kms_key.iter();
            let key = key.map(|key| ("x-amz-server-side-encryption-aws-kms-key-id", key.clone()));
            [kind("aws:kms")].into_iter().chain(key).collect()
        }
    }
}

/// What an error of the store means. `None`: that the object is not there, or nothing known.
pub(super) fn told(error: &object_store::Error) -> Option<StoreError> {
    use object_store::Error;
    let text = error.to_string();
    let code = between(&text, "<Code>", "</Code>").map(plain);
    match error {
        Error::NotFound { .. } => (code? == "NoSuchBucket").then_some(StoreError::NoBucket),
        Error::PermissionDenied { .. } => {
            Some(StoreError::Refused { code: code.unwrap_or_else(|| "403 Forbidden".to_owned()) })
        }
        Error::Unauthenticated { .. } => {
            Some(StoreError::Refused { code: code.unwrap_or_else(|| "401 Unauthorized".to_owned()) })
        }
        Error::Generic { .. } => {
            let status = between(&text, "status code: ", ":").map(plain);
            let refused = matches!(code.as_deref(), Some("InvalidAccessKeyId" | "AuthorizationHeaderMalformed"));
            match code.or(status) {
                Some(code) if refused => Some(StoreError::Refused { code }),
                Some(code) => Some(StoreError::Failed { code }),
                None => Some(StoreError::Unreachable),
            }
        }
        _ => None,
    }
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(before)?;
    rest.split_once(after).map(|(found, _)| found)
}

/// Letters, digits and spaces, and not many: what others write comes into our log.
fn plain(text: &str) -> String {
    text.chars().filter(|c| c.is_ascii_alphanumeric() || *c == ' ').take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(
        make: fn(Box<dyn std::error::Error + Send + Sync>) -> object_store::Error,
        text: &str,
    ) -> object_store::Error {
        make(text.into())
    }

    #[test]
    fn a_refusal_is_told_by_its_code_alone() {
        let text = "Error performing PUT http://s3/b/k in 1ms - Server returned non-2xx status code: 403 Forbidden: \
            <Error><Code>SignatureDoesNotMatch</Code><StringToSign>AWS4-HMAC hunter2</StringToSign></Error>";
        let denied = error(|source| object_store::Error::PermissionDenied { path: String::new(), source }, text);
        assert_eq!(told(&denied).unwrap().to_string(), "the store refuses the key (SignatureDoesNotMatch)");
        let failed =
            error(|source| object_store::Error::Generic { store: "S3", source }, "status code: 503 Slow Down: x");
        assert_eq!(told(&failed).unwrap().to_string(), "the store failed (503 Slow Down)");
    }

    #[test]
    fn a_missing_bucket_is_no_missing_object() {
        let missing = |text| error(|source| object_store::Error::NotFound { path: String::new(), source }, text);
        assert_eq!(told(&missing("404: <Code>NoSuchKey</Code>")), None);
        assert_eq!(told(&missing("404: <Code>NoSuchBucket</Code>")), Some(StoreError::NoBucket));
    }
}
