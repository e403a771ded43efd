//! The description of the interface, pages to read it with, and the pages of the problems. No network is needed.

use axum::{
    Json, Router,
    extract::Path,
    http::header,
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use utoipa::openapi::{
    Components, Content, Info, License, OpenApi, Ref, RefOr, ResponseBuilder,
    security::{Flow, OAuth2, Password, Scopes, SecurityScheme},
};
use utoipa_swagger_ui::SwaggerUi;

use super::{App, error::ApiError};

/// Each problem's page, by the name in its `type`.
pub const ERROR_PAGES: &[(&str, &str)] = &[
    ("not_authenticated", include_str!("../../../docs/errors/not_authenticated.md")),
    ("invalid_token", include_str!("../../../docs/errors/invalid_token.md")),
    ("incorrect_login", include_str!("../../../docs/errors/incorrect_login.md")),
    ("email_taken", include_str!("../../../docs/errors/email_taken.md")),
    ("invalid_request", include_str!("../../../docs/errors/invalid_request.md")),
    ("not_found", include_str!("../../../docs/errors/not_found.md")),
    ("method_not_allowed", include_str!("../../../docs/errors/method_not_allowed.md")),
    ("unsupported_file", include_str!("../../../docs/errors/unsupported_file.md")),
    ("file_too_large", include_str!("../../../docs/errors/file_too_large.md")),
    ("quota_exhausted", include_str!("../../../docs/errors/quota_exhausted.md")),
    ("payment_required", include_str!("../../../docs/errors/payment_required.md")),
    ("payment_declined", include_str!("../../../docs/errors/payment_declined.md")),
    ("invalid_plan", include_str!("../../../docs/errors/invalid_plan.md")),
    ("invalid_webhook", include_str!("../../../docs/errors/invalid_webhook.md")),
    ("idempotency_key_reused", include_str!("../../../docs/errors/idempotency_key_reused.md")),
    ("conflict", include_str!("../../../docs/errors/conflict.md")),
    ("unavailable", include_str!("../../../docs/errors/unavailable.md")),
    ("internal", include_str!("../../../docs/errors/internal.md")),
];

pub fn description() -> OpenApi {
    let mut openapi = OpenApi::new(Info::new("Starscreen", env!("CARGO_PKG_VERSION")), utoipa::openapi::Paths::new());
    openapi.info.description = Some(
        "Screens resumes against a job: a weighted rubric, a score for each category with verbatim evidence, and a \
         ranked list. Errors are RFC 9457 problems whose `detail` is a sentence to act on."
            .to_owned(),
    );
    openapi.info.license = Some(License::new("Apache-2.0"));
    let mut components = Components::new();
    let scheme = OAuth2::new([Flow::Password(Password::new("/api/v1/auth/login", Scopes::new()))]);
    components.add_security_scheme("bearer", SecurityScheme::OAuth2(scheme));
    openapi.components = Some(components);
    openapi
}

/// Adds what is the same for all operations: problems have a media type of their own, and whoever must be signed in may
/// be told so.
pub fn completed(mut openapi: OpenApi) -> OpenApi {
    for item in openapi.paths.paths.values_mut() {
        let operations = [&mut item.get, &mut item.post, &mut item.put, &mut item.delete];
        for operation in operations.into_iter().flatten() {
            if operation.security.is_some() {
                let problem = Content::new(Some(Ref::from_schema_name("Problem")));
                let response = ResponseBuilder::new().description("Not signed in").content("application/json", problem);
                let responses = &mut operation.responses.responses;
                responses.entry("401".to_owned()).or_insert_with(|| response.build().into());
            }
            for (status, response) in &mut operation.responses.responses {
                let RefOr::T(response) = response else { continue };
                if status.starts_with(['4', '5'])
                    && let Some(problem) = response.content.shift_remove("application/json")
                {
                    response.content.insert("application/problem+json".to_owned(), problem);
                }
            }
        }
    }
    openapi
}

pub fn router(openapi: OpenApi) -> Router<App> {
    let document = openapi.clone();
    Router::new()
        .merge(SwaggerUi::new("/docs").url("/openapi.json", openapi))
        .route("/api/v1/openapi.json", get(move || async move { Json(document) }))
        .route("/errors/{code}", get(error_page))
        .route("/", get(|| async { Redirect::temporary("/docs/") }))
}

/// The page that a problem's `type` leads to.
async fn error_page(Path(code): Path<String>) -> Response {
    match ERROR_PAGES.iter().find(|(name, _)| *name == code) {
        Some((_, page)) => ([(header::CONTENT_TYPE, "text/markdown; charset=utf-8")], *page).into_response(),
        None => ApiError::not_found("There is no such problem.").into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::Code, *};

    #[test]
    fn every_problem_has_its_page() {
        for code in Code::ALL {
            let page = ERROR_PAGES.iter().find(|(name, _)| *name == code.name());
            let (_, text) = page.unwrap_or_else(|| panic!("docs/errors/{}.md is not served", code.name()));
            assert!(text.contains("## What to do"), "docs/errors/{}.md does not say what to do", code.name());
        }
        assert_eq!(ERROR_PAGES.len(), Code::ALL.len());
    }
}
