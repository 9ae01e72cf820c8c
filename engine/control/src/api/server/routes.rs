//! Paths and what they do: each takes its question apart, asks the engine, and answers in JSON.

use super::{Connection, Shared};
use crate::api::METRICS_CONTENT_TYPE;
use crate::api::model::{BlockFilter, ErrorReply};
use crate::api::operations::{Operations, Refusal, RefusalKind};
use axum::body::Bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::{ConnectInfo, DefaultBodyLimit, FromRequest, Path, Query, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Everything.
pub(super) fn control(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/v1/status", ask(|o| o.status()))
        .route("/v1/metrics", get(metrics))
        .route("/v1/blocks", get(list_blocks).merge(order(|o, who, b| o.add_block(who, b))))
        .route("/v1/blocks/show", question(|o, which| o.show_block(which)))
        .route("/v1/blocks/remove", order(|o, who, which| o.remove_blocks(who, which)))
        .route("/v1/blocks/extend", order(|o, who, change| o.extend_block(who, change)))
        .route("/v1/blocks/clear", order(|o, who, filter| o.clear_blocks(who, filter)))
        .route(
            "/v1/exclusions",
            ask(|o| o.list_exclusions()).merge(order(|o, who, row| o.add_exclusion(who, row))),
        )
        .route("/v1/exclusions/remove", order(|o, who, row| o.remove_exclusion(who, row)))
        .route("/v1/explain", question(|o, q| o.explain(q)))
        .route("/v1/mode", order(|o, who, mode| o.set_mode(who, mode)))
        .route("/v1/plugins", ask(|o| o.list_plugins()))
        .route("/v1/plugins/swap", long_order(|o, who, plugin| o.swap_plugin(who, plugin)))
        .route("/v1/plugins/info/{name}", get(show_plugin))
        .route("/v1/rules/swap", long_order(|o, who, rules| o.swap_rules(who, rules)))
        .route("/v1/reload", bare_order(|o, who| o.reload(who)))
        .route("/v1/shutdown", bare_order(|o, who| o.shutdown(who)))
        .fallback(unknown_path)
        .method_not_allowed_fallback(unknown_method)
        .layer(DefaultBodyLimit::max(shared.body_max))
        .with_state(shared)
}

/// The loopback port: figures, nothing else.
pub(super) fn metrics_only(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .fallback(unknown_path)
        .layer(DefaultBodyLimit::max(0))
        .with_state(shared)
}

type Methods = axum::routing::MethodRouter<Arc<Shared>>;

/// `GET` without parameters.
fn ask<T: Serialize + Send + 'static>(
    work: impl Fn(&dyn Operations) -> Result<T, Refusal> + Clone + Send + Sync + 'static,
) -> Methods {
    get(move |State(shared): State<Arc<Shared>>| async move {
        perform(&shared, move |o| work(o)).await.map(Json)
    })
}

/// `POST` of a question.
fn question<B: DeserializeOwned + Send + 'static, T: Serialize + Send + 'static>(
    work: impl Fn(&dyn Operations, B) -> Result<T, Refusal> + Clone + Send + Sync + 'static,
) -> Methods {
    post(move |State(shared): State<Arc<Shared>>, Body(body): Body<B>| async move {
        perform(&shared, move |o| work(o, body)).await.map(Json)
    })
}

/// `POST` of an order: the engine learns who gave it.
fn order<B: DeserializeOwned + Send + 'static, T: Serialize + Send + 'static>(
    work: impl Fn(&dyn Operations, &crate::api::Peer, B) -> Result<T, Refusal>
    + Clone
    + Send
    + Sync
    + 'static,
) -> Methods {
    order_within(Duration::ZERO, work)
}

/// The same for what compiles rules or detectors: it may take minutes.
fn long_order<B: DeserializeOwned + Send + 'static, T: Serialize + Send + 'static>(
    work: impl Fn(&dyn Operations, &crate::api::Peer, B) -> Result<T, Refusal>
    + Clone
    + Send
    + Sync
    + 'static,
) -> Methods {
    order_within(COMPILING, work)
}

/// An order that may take as long as any request, and at least this long.
fn order_within<B: DeserializeOwned + Send + 'static, T: Serialize + Send + 'static>(
    at_least: Duration,
    work: impl Fn(&dyn Operations, &crate::api::Peer, B) -> Result<T, Refusal>
    + Clone
    + Send
    + Sync
    + 'static,
) -> Methods {
    post(
        move |State(shared): State<Arc<Shared>>,
              ConnectInfo(from): ConnectInfo<Connection>,
              Body(body): Body<B>| async move {
            let limit = shared.timeout.max(at_least);
            perform_within(&shared, limit, move |o| work(o, &from.peer, body)).await.map(Json)
        },
    )
}

/// `POST` of an order without parameters, which may compile rules.
fn bare_order<T: Serialize + Send + 'static>(
    work: impl Fn(&dyn Operations, &crate::api::Peer) -> Result<T, Refusal>
    + Clone
    + Send
    + Sync
    + 'static,
) -> Methods {
    post(move |State(shared): State<Arc<Shared>>, from: ConnectInfo<Connection>| async move {
        let limit = shared.timeout.max(COMPILING);
        perform_within(&shared, limit, move |o| work(o, &from.0.peer)).await.map(Json)
    })
}

async fn metrics(State(shared): State<Arc<Shared>>) -> Result<Response, Failure> {
    let text = perform(&shared, |o| o.metrics()).await?;
    Ok(([(header::CONTENT_TYPE, METRICS_CONTENT_TYPE)], text).into_response())
}

async fn list_blocks(
    State(shared): State<Arc<Shared>>,
    filter: Result<Query<BlockFilter>, QueryRejection>,
) -> Result<Response, Failure> {
    let Query(filter) = filter.map_err(|e| {
        Failure::new(StatusCode::BAD_REQUEST, e.body_text(), FILTER_REMEDY.to_owned())
    })?;
    let blocks = perform(&shared, move |o| o.list_blocks(filter)).await?;
    Ok(Json(blocks).into_response())
}

const FILTER_REMEDY: &str =
    "filter by segment, vlan, source, class, rule, detector; page by offset and limit";

async fn show_plugin(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
) -> Result<Response, Failure> {
    let plugin = perform(&shared, move |o| o.show_plugin(&name)).await?;
    Ok(Json(plugin).into_response())
}

async fn unknown_path(request: Request) -> Failure {
    let error = format!("there is no {}", request.uri().path());
    let remedy = "ask for /v1/status, /v1/metrics, /v1/blocks, /v1/exclusions, /v1/explain, \
                  /v1/mode, /v1/plugins, /v1/rules/swap, /v1/reload or /v1/shutdown";
    Failure::new(StatusCode::NOT_FOUND, error, remedy.into())
}

async fn unknown_method(request: Request) -> Failure {
    let error = format!("{} {} is not possible", request.method(), request.uri().path());
    let remedy = "questions are GET, orders and questions with a body are POST";
    Failure::new(StatusCode::METHOD_NOT_ALLOWED, error, remedy.into())
}

/// How long compiling rules or detectors may take; below what the client waits.
const COMPILING: Duration = Duration::from_secs(300);

/// Runs the engine's part where it may wait, within the limits of time and number.
async fn perform<T: Send + 'static>(
    shared: &Shared,
    work: impl FnOnce(&dyn Operations) -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Failure> {
    perform_within(shared, shared.timeout, work).await
}

async fn perform_within<T: Send + 'static>(
    shared: &Shared,
    limit: Duration,
    work: impl FnOnce(&dyn Operations) -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Failure> {
    shared.counters.requests.fetch_add(1, Ordering::Relaxed);
    let Ok(place) = Arc::clone(&shared.requests).try_acquire_owned() else {
        shared.counters.busy.fetch_add(1, Ordering::Relaxed);
        let remedy = "try again in a moment".to_owned();
        let error = "too many requests are being carried out".to_owned();
        return Err(Failure::new(StatusCode::SERVICE_UNAVAILABLE, error, remedy));
    };
    let operations = Arc::clone(&shared.operations);
    let task = tokio::task::spawn_blocking(move || {
        let _place = place;
        work(operations.as_ref())
    });
    match tokio::time::timeout(limit, task).await {
        Ok(Ok(result)) => result.map_err(Failure::from),
        Ok(Err(_)) => {
            let error = "the engine failed on this request; its log says where".to_owned();
            let remedy = "this is a defect: report it with the log".to_owned();
            Err(Failure::new(StatusCode::INTERNAL_SERVER_ERROR, error, remedy))
        }
        Err(_) => {
            shared.counters.timed_out.fetch_add(1, Ordering::Relaxed);
            let error = format!("the engine did not answer within {limit:?}");
            let remedy = "look at the list before you repeat an order: it may yet be carried out";
            Err(Failure::new(StatusCode::GATEWAY_TIMEOUT, error, remedy.into()))
        }
    }
}

/// A request's body as JSON, read within the time limit.
struct Body<T>(T);

impl<T: DeserializeOwned> FromRequest<Arc<Shared>> for Body<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, shared: &Arc<Shared>) -> Result<Self, Failure> {
        let read = Bytes::from_request(request, shared);
        let bytes = match tokio::time::timeout(shared.timeout, read).await {
            Ok(Ok(bytes)) => bytes,
            Ok(Err(e)) => {
                let remedy = format!("send at most {} bytes", shared.body_max);
                return Err(Failure::new(e.status(), e.body_text(), remedy));
            }
            Err(_) => {
                let error = "the request's body did not arrive in time".to_owned();
                let remedy = "send it at once".to_owned();
                return Err(Failure::new(StatusCode::REQUEST_TIMEOUT, error, remedy));
            }
        };
        serde_json::from_slice(&bytes).map(Body).map_err(|e| {
            let remedy = "send the JSON that this path expects".to_owned();
            Failure::new(
                StatusCode::BAD_REQUEST,
                format!("the body is not understood: {e}"),
                remedy,
            )
        })
    }
}

/// An answer that says what is wrong and what to do.
struct Failure {
    status: StatusCode,
    reply: ErrorReply,
}

impl Failure {
    fn new(status: StatusCode, error: String, remedy: String) -> Self {
        Failure { status, reply: ErrorReply { error, remedy } }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let status = match refusal.kind {
            RefusalKind::Conflict => StatusCode::CONFLICT,
            RefusalKind::Invalid => StatusCode::BAD_REQUEST,
            RefusalKind::Missing => StatusCode::NOT_FOUND,
            RefusalKind::Forbidden => StatusCode::FORBIDDEN,
            RefusalKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        };
        Failure { status, reply: refusal.reply }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (self.status, Json(self.reply)).into_response()
    }
}
