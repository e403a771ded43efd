//! Accounts: register, sign in, refresh, who am I.

use axum::{
    extract::{FromRequest, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use starscreen_commands::{
    Context,
    account::{self, Registration},
};
use starscreen_domain::{Actor, TenantId, UserId, account::Account};
use starscreen_projections::accounts::AccountRow;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{
    App,
    caller::{Caller, Request},
    error::{ApiError, Code, Problem},
    extract::Json,
    visible::{self, Visible},
};
use crate::{
    config::Plan,
    passwords::{PasswordError, broken_rules},
    tokens::TokenSubject,
};

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(register)).routes(routes!(login)).routes(routes!(refresh)).routes(routes!(me))
}

#[derive(Deserialize, ToSchema)]
pub struct UserRegisterRequest {
    #[schema(format = "email")]
    pub email: String,
    /// At least 8 characters with a lower- and an upper-case letter, a digit and a special character.
    #[schema(value_type = String, min_length = 8, format = "password")]
    pub password: SecretString,
    pub full_name: Option<String>,
    pub company_name: Option<String>,
}

/// JSON with `email` (or `username`), or the form of the password grant of OAuth2.
#[derive(Deserialize, ToSchema)]
pub struct UserLoginRequest {
    /// The e-mail address.
    #[serde(alias = "email")]
    pub username: String,
    #[schema(value_type = String, format = "password")]
    pub password: SecretString,
}

#[derive(Deserialize, ToSchema)]
pub struct TokenRefreshRequest {
    pub refresh_token: String,
}

#[derive(Serialize, ToSchema)]
pub struct TokenResponse {
    pub access_token: String,
    pub refresh_token: String,
    #[schema(example = "bearer")]
    pub token_type: &'static str,
    pub user: Option<UserResponse>,
}

#[derive(Clone, Serialize, ToSchema)]
pub struct UserResponse {
    pub id: Uuid,
    pub tenant_id: Uuid,
    pub email: String,
    pub full_name: Option<String>,
    pub company_name: Option<String>,
    pub is_active: bool,
    pub is_verified: bool,
    pub is_admin: bool,
    pub created_at: DateTime<Utc>,
}

/// Opens an account with its first user, on the free plan.
#[utoipa::path(post, path = "/auth/register", operation_id = "register", tag = "Accounts", request_body = UserRegisterRequest,
    responses((status = 201, body = TokenResponse), (status = 400, body = Problem), (status = 422, body = Problem)))]
#[tracing::instrument(name = "http.accounts.register", skip_all)]
async fn register(
    State(app): State<App>,
    request: Request,
    Json(body): Json<UserRegisterRequest>,
) -> Result<Response, ApiError> {
    let email = body.email.trim().to_owned();
    if !is_email(&email) {
        return Err(ApiError::invalid("body", "email", "is not a valid email address"));
    }
    let full_name = optional("full_name", body.full_name)?;
    let company_name = optional("company_name", body.company_name)?;
    let plan = app.settings.plan("free").map(Plan::terms).ok_or_else(no_free_plan)?;
    let broken = broken_rules(&body.password);
    if let Some(rule) = broken.first() {
        return Err(ApiError::invalid("body", "password", rule.to_string()));
    }
    let password_hash = app.passwords.hash(body.password).await.map_err(|error| password_problem(&error))?;
    let (tenant, user) = (TenantId(Uuid::now_v7()), UserId(Uuid::now_v7()));
    let context = Context { traceparent: request.traceparent, ..Context::new(tenant, Actor::User(user), Utc::now()) };
    let created_at = context.at;
    let registration = Registration {
        tenant,
        user,
        email: email.clone(),
        full_name: full_name.clone(),
        company_name: company_name.clone(),
        password_hash,
        plan,
    };
    let registered = account::register(&app.bus, app.vault.as_ref(), context, registration).await?;
    let seen = Visible::wait(&app, &[visible::ACCOUNTS, visible::SUBSCRIPTIONS], registered.place).await;
    let answer = UserResponse {
        id: user.0,
        tenant_id: tenant.0,
        email,
        full_name,
        company_name,
        is_active: true,
        is_verified: false,
        is_admin: false,
        created_at,
    };
    let tokens = issue(&app, tenant, user, Some(answer))?;
    Ok((StatusCode::CREATED, seen, NO_STORE, axum::Json(tokens)).into_response())
}

const NO_STORE: [(header::HeaderName, &str); 1] = [(header::CACHE_CONTROL, "no-store")];

/// Signs in. Takes JSON or the form of the password grant of OAuth2, with the e-mail address as `username`.
#[utoipa::path(post, path = "/auth/login", operation_id = "login", tag = "Accounts",
    request_body(content((UserLoginRequest = "application/json"), (UserLoginRequest = "application/x-www-form-urlencoded"))),
    responses((status = 200, body = TokenResponse), (status = 401, body = Problem), (status = 422, body = Problem)))]
#[tracing::instrument(name = "http.accounts.login", skip_all)]
async fn login(State(app): State<App>, Credentials(given): Credentials) -> Result<Response, ApiError> {
    let incorrect = || ApiError::new(Code::IncorrectLogin, "Incorrect email or password");
    let holder = account::holder_of(&app.bus, app.vault.as_ref(), &given.username).await?;
    let stored = match holder {
        Some((tenant, user)) => {
            app.bus.registry().credential(tenant, user).await.map_err(|error| ApiError::unavailable(&error))?
        }
        None => None,
    };
    let (Some((tenant, user)), Some(hash)) = (holder, stored) else {
        app.passwords.verify_nobody(given.password).await.map_err(|error| password_problem(&error))?; // as long as for an account that exists
        return Err(incorrect());
    };
    if !app.passwords.verify(given.password, hash).await.map_err(|error| password_problem(&error))? {
        return Err(incorrect());
    }
    let row = app.reads.accounts().get(tenant, user).await?;
    let tokens = issue(&app, tenant, user, row.map(answer))?;
    Ok((NO_STORE, axum::Json(tokens)).into_response())
}

/// New tokens for a refresh token. The old ones stay valid until they expire.
#[utoipa::path(post, path = "/auth/refresh", operation_id = "refreshTokens", tag = "Accounts", request_body = TokenRefreshRequest,
    responses((status = 200, body = TokenResponse), (status = 401, body = Problem), (status = 422, body = Problem)))]
#[tracing::instrument(name = "http.accounts.refresh", skip_all)]
async fn refresh(State(app): State<App>, Json(body): Json<TokenRefreshRequest>) -> Result<Response, ApiError> {
    let invalid = || ApiError::new(Code::InvalidToken, "Invalid or expired refresh token");
    let held = app.tokens.verify_refresh(&body.refresh_token, Utc::now()).map_err(|_| invalid())?.subject;
    if app.bus.read::<Account>(held.tenant_id, held.tenant_id).await?.user_id != Some(held.user_id) {
        return Err(invalid());
    }
    let tokens = issue(&app, held.tenant_id, held.user_id, None)?;
    Ok((NO_STORE, axum::Json(tokens)).into_response())
}

/// The signed-in user.
#[utoipa::path(get, path = "/auth/me", operation_id = "getCurrentUser", tag = "Accounts", security(("bearer" = [])),
    responses((status = 200, body = UserResponse), (status = 401, body = Problem)))]
async fn me(caller: Caller, State(app): State<App>) -> Result<axum::Json<UserResponse>, ApiError> {
    let row = app.reads.accounts().get(caller.tenant, caller.user).await?;
    let row = row.ok_or_else(|| ApiError::new(Code::InvalidToken, "Could not validate credentials"))?;
    Ok(axum::Json(answer(row)))
}

/// What was typed to sign in, in either form.
struct Credentials(UserLoginRequest);

impl FromRequest<App> for Credentials {
    type Rejection = ApiError;

    async fn from_request(request: axum::extract::Request, app: &App) -> Result<Self, ApiError> {
        let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        if content_type.is_some_and(|value| value.starts_with("application/x-www-form-urlencoded")) {
            let axum::Form(given) = axum::Form::from_request(request, app).await?;
            return Ok(Self(given));
        }
        let Json(given) = Json::from_request(request, app).await?;
        Ok(Self(given))
    }
}

fn issue(app: &App, tenant: TenantId, user: UserId, row: Option<UserResponse>) -> Result<TokenResponse, ApiError> {
    let subject = TokenSubject { user_id: user, tenant_id: tenant, is_admin: false };
    let pair = app.tokens.issue_pair(subject, Utc::now()).map_err(|error| ApiError::internal(&error))?;
    Ok(TokenResponse { access_token: pair.access, refresh_token: pair.refresh, token_type: "bearer", user: row })
}

fn answer(row: AccountRow) -> UserResponse {
    UserResponse {
        id: row.user_id.0,
        tenant_id: row.tenant_id.0,
        email: row.email,
        full_name: row.full_name,
        company_name: row.company_name,
        is_active: row.is_active,
        is_verified: row.is_verified,
        is_admin: row.is_admin,
        created_at: row.created_at,
    }
}

fn password_problem(error: &PasswordError) -> ApiError {
    match error {
        PasswordError::Busy => {
            ApiError::new(Code::Unavailable, "Too many people are signing in at this moment. Please try again.")
        }
        PasswordError::Hash(_) | PasswordError::NoRandomness | PasswordError::CutOff => ApiError::internal(error),
    }
}

fn no_free_plan() -> ApiError {
    tracing::error!("the settings have no plan \"free\"");
    ApiError::new(Code::Internal, "This installation has no free plan, so nobody can register.")
}

const MAX_EMAIL_BYTES: usize = 254;
const MAX_NAME_CHARS: usize = 200;

/// A check against typing errors; whether mail arrives only a mail can tell.
fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    let plain = |part: &str| !part.is_empty() && !part.contains(|c: char| c.is_whitespace() || c.is_control());
    text.len() <= MAX_EMAIL_BYTES
        && plain(local)
        && plain(domain)
        && !local.contains('@')
        && domain.contains('.')
        && domain.split('.').all(|label| !label.is_empty())
}

fn optional(field: &str, text: Option<String>) -> Result<Option<String>, ApiError> {
    let text = text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    if text.as_ref().is_some_and(|text| text.chars().count() > MAX_NAME_CHARS) {
        return Err(ApiError::invalid("body", field, format!("must have at most {MAX_NAME_CHARS} characters")));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::is_email;

    #[test]
    fn addresses_with_typing_errors_are_refused() {
        for good in ["a@b.example", "first.last+tag@sub.example.org", "jörg@beispiel.example"] {
            assert!(is_email(good), "{good}");
        }
        for bad in
            ["", "a", "a@b", "@b.example", "a@", "a b@c.example", "a@b..example", "a@@b.example", "a@b.example\n"]
        {
            assert!(!is_email(bad), "{bad}");
        }
    }
}
