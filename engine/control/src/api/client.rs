//! The client's end: what the command line asks the running engine with. Waits for each answer.

use super::model::{
    AddBlock, AddExclusion, BlockFilter, BlockInfo, BlockList, BlockSelector, Changed, Done,
    ErrorReply, ExclusionAdded, ExclusionList, ExplainReply, ExplainRequest, ExtendBlock,
    PluginDetail, PluginList, PluginSwapped, ReloadReply, RemoveBlocks, RemoveExclusion,
    RulesSwapped, SetMode, StatusReply, SwapPlugin, SwapRules,
};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::{Method, Request, header};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use thiserror::Error;
use tokio::net::UnixStream;

/// Bytes of an answer at most: a full list of blocks fits.
const ANSWER_BYTES_MAX: usize = 256 << 20;

/// How long an answer is awaited; longer than the server's own limit, so that it can say so itself.
const TIMEOUT: Duration = Duration::from_secs(330);

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum ClientError {
    /// Nobody listens.
    #[error("no engine answers at {}: {source}; start it, or name its configuration with -c", path.display())]
    NotRunning {
        /// The socket.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// We may not.
    #[error("{} may not be opened: {source}; ask as root, or have control.uids or control.gids name you", path.display())]
    NotPermitted {
        /// The socket.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The engine says no.
    #[error("{}; {}", reply.error, reply.remedy)]
    Refused {
        /// The HTTP status.
        status: u16,
        /// Its two sentences.
        reply: ErrorReply,
    },
    /// The connection broke, or the answer makes no sense.
    #[error("the engine's answer cannot be read: {0}; see its log")]
    Broken(String),
}

/// Asks the engine that listens at a socket; one connection for each question.
#[derive(Clone, Debug)]
pub struct Client {
    socket: PathBuf,
}

impl Client {
    /// A client of the engine at this socket. Nothing is opened yet.
    pub fn new(socket: &Path) -> Self {
        Client { socket: socket.to_owned() }
    }

    /// The engine at a glance.
    pub fn status(&self) -> Result<StatusReply, ClientError> {
        self.get("/v1/status")
    }

    /// All figures as Prometheus text.
    pub fn metrics(&self) -> Result<String, ClientError> {
        let bytes = self.exchange(Method::GET, "/v1/metrics", Bytes::new())?;
        String::from_utf8(bytes.into()).map_err(|e| ClientError::Broken(e.to_string()))
    }

    /// Blocks in force.
    pub fn list_blocks(&self, filter: &BlockFilter) -> Result<BlockList, ClientError> {
        self.get(&format!("/v1/blocks{}", query(filter)))
    }

    /// The blocks that a selector fits.
    pub fn show_block(&self, which: &BlockSelector) -> Result<BlockList, ClientError> {
        self.post("/v1/blocks/show", which)
    }

    /// Blocks a source.
    pub fn add_block(&self, block: &AddBlock) -> Result<BlockInfo, ClientError> {
        self.post("/v1/blocks", block)
    }

    /// Lifts blocks.
    pub fn remove_blocks(&self, which: &RemoveBlocks) -> Result<Changed, ClientError> {
        self.post("/v1/blocks/remove", which)
    }

    /// Lengthens or shortens blocks.
    pub fn extend_block(&self, change: &ExtendBlock) -> Result<Changed, ClientError> {
        self.post("/v1/blocks/extend", change)
    }

    /// Lifts every block that a filter fits.
    pub fn clear_blocks(&self, filter: &BlockFilter) -> Result<Changed, ClientError> {
        self.post("/v1/blocks/clear", filter)
    }

    /// The exclusion list.
    pub fn list_exclusions(&self) -> Result<ExclusionList, ClientError> {
        self.get("/v1/exclusions")
    }

    /// Adds an exclusion.
    pub fn add_exclusion(&self, row: &AddExclusion) -> Result<ExclusionAdded, ClientError> {
        self.post("/v1/exclusions", row)
    }

    /// Takes an exclusion away.
    pub fn remove_exclusion(&self, row: &RemoveExclusion) -> Result<Done, ClientError> {
        self.post("/v1/exclusions/remove", row)
    }

    /// What policy says about an address at a place.
    pub fn explain(&self, question: &ExplainRequest) -> Result<ExplainReply, ClientError> {
        self.post("/v1/explain", question)
    }

    /// Changes a segment's mode.
    pub fn set_mode(&self, mode: &SetMode) -> Result<Done, ClientError> {
        self.post("/v1/mode", mode)
    }

    /// All plugins.
    pub fn list_plugins(&self) -> Result<PluginList, ClientError> {
        self.get("/v1/plugins")
    }

    /// One plugin with its rules.
    pub fn show_plugin(&self, name: &str) -> Result<PluginDetail, ClientError> {
        self.get(&format!("/v1/plugins/info/{}", escaped(name)))
    }

    /// Loads a plugin, or puts it in the place of the one with its name.
    pub fn swap_plugin(&self, plugin: &SwapPlugin) -> Result<PluginSwapped, ClientError> {
        self.post("/v1/plugins/swap", plugin)
    }

    /// Puts another set of rules in the place of the one at work.
    pub fn swap_rules(&self, rules: &SwapRules) -> Result<RulesSwapped, ClientError> {
        self.post("/v1/rules/swap", rules)
    }

    /// Has the configuration read again.
    pub fn reload(&self) -> Result<ReloadReply, ClientError> {
        self.post("/v1/reload", &())
    }

    /// Ends the engine gracefully.
    pub fn shutdown(&self) -> Result<Done, ClientError> {
        self.post("/v1/shutdown", &())
    }

    fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        let bytes = self.exchange(Method::GET, path, Bytes::new())?;
        serde_json::from_slice(&bytes).map_err(|e| ClientError::Broken(e.to_string()))
    }

    fn post<B: Serialize, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<T, ClientError> {
        let body = serde_json::to_vec(body).map_err(|e| ClientError::Broken(e.to_string()))?;
        let bytes = self.exchange(Method::POST, path, body.into())?;
        serde_json::from_slice(&bytes).map_err(|e| ClientError::Broken(e.to_string()))
    }

    fn exchange(&self, method: Method, path: &str, body: Bytes) -> Result<Bytes, ClientError> {
        let broken = |e: &dyn std::fmt::Display| ClientError::Broken(e.to_string());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| broken(&e))?;
        let whole = async {
            let stream = UnixStream::connect(&self.socket).await.map_err(|source| {
                let path = self.socket.clone();
                match source.kind() {
                    io::ErrorKind::PermissionDenied => ClientError::NotPermitted { path, source },
                    _ => ClientError::NotRunning { path, source },
                }
            })?;
            let (mut sender, connection) =
                hyper::client::conn::http1::handshake(TokioIo::new(stream))
                    .await
                    .map_err(|e| broken(&e))?;
            let connection = tokio::spawn(connection);
            let request = Request::builder()
                .method(method)
                .uri(path)
                .header(header::HOST, "portcullis")
                .header(header::CONTENT_TYPE, "application/json")
                .header(header::CONNECTION, "close")
                .body(Full::new(body))
                .map_err(|e| broken(&e))?;
            let answer = sender.send_request(request).await.map_err(|e| broken(&e))?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX);
            let bytes = body.collect().await.map_err(|e| broken(&e))?.to_bytes();
            connection.abort();
            if status.is_success() {
                return Ok(bytes);
            }
            let reply = serde_json::from_slice(&bytes)
                .map_err(|_| broken(&format!("status {status} without a reason")))?;
            Err(ClientError::Refused { status: status.as_u16(), reply })
        };
        runtime.block_on(async {
            let late = || broken(&"nothing came in time");
            tokio::time::timeout(TIMEOUT, whole).await.map_err(|_| late())?
        })
    }
}

/// `?key=value&…` of the keys that are there.
fn query(filter: &BlockFilter) -> String {
    let Ok(serde_json::Value::Object(keys)) = serde_json::to_value(filter) else {
        return String::new();
    };
    let pairs: Vec<String> = keys
        .iter()
        .map(|(key, value)| match value {
            serde_json::Value::String(text) => format!("{key}={}", escaped(text)),
            other => format!("{key}={other}"),
        })
        .collect();
    if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) }
}

/// A text as one part of a path or query (RFC 3986, 2.1).
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}
