//! Both ends against each other, with an engine that only remembers what it was asked.

#![allow(clippy::unwrap_used, reason = "a test that fails here has said why")]

use super::model::*;
use super::*;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Answers what it was asked, in words; `slow` never answers in time.
#[derive(Default)]
struct Echo {
    asked: Mutex<Vec<String>>,
}

impl Echo {
    fn note(&self, text: String) {
        self.asked.lock().unwrap().push(text);
    }
}

fn info(source: &str) -> BlockInfo {
    BlockInfo { source: source.into(), prefix_len: 32, vlan: vec![10], ..BlockInfo::default() }
}

impl Operations for Echo {
    fn status(&self) -> Result<StatusReply, Refusal> {
        Ok(StatusReply { version: "1".into(), blocks: 3, ..StatusReply::default() })
    }
    fn metrics(&self) -> Result<String, Refusal> {
        Ok("portcullis_blocks 3\n".into())
    }
    fn list_blocks(&self, filter: BlockFilter) -> Result<BlockList, Refusal> {
        self.note(format!("{filter:?}"));
        Ok(BlockList { blocks: vec![info("192.0.2.1")], total: 1 })
    }
    fn show_block(&self, which: BlockSelector) -> Result<BlockList, Refusal> {
        if which.source == "panic" {
            // As a panic does, without the time that a backtrace takes.
            std::panic::resume_unwind(Box::new("as asked"));
        }
        if which.source == "slow" {
            std::thread::sleep(Duration::from_millis(2500));
        }
        let error = format!("{} is not blocked", which.source);
        Err(Refusal::new(RefusalKind::Missing, error, "look at `blocks list`"))
    }
    fn add_block(&self, who: &Peer, block: AddBlock) -> Result<BlockInfo, Refusal> {
        self.note(format!("{who} adds {}", block.source));
        Ok(info(&block.source))
    }
    fn remove_blocks(&self, _: &Peer, which: RemoveBlocks) -> Result<Changed, Refusal> {
        let count = which.blocks.len() as u64;
        Ok(Changed { count, blocks: vec![] })
    }
    fn extend_block(&self, _: &Peer, change: ExtendBlock) -> Result<Changed, Refusal> {
        self.note(format!("{:?}", change.change));
        Ok(Changed { count: 1, blocks: vec![] })
    }
    fn clear_blocks(&self, _: &Peer, _: BlockFilter) -> Result<Changed, Refusal> {
        Ok(Changed::default())
    }
    fn list_exclusions(&self) -> Result<ExclusionList, Refusal> {
        Ok(ExclusionList::default())
    }
    fn add_exclusion(&self, _: &Peer, row: AddExclusion) -> Result<ExclusionAdded, Refusal> {
        Err(Refusal::new(RefusalKind::Invalid, format!("`{}` is no row", row.row), "write one"))
    }
    fn remove_exclusion(&self, _: &Peer, _: RemoveExclusion) -> Result<Done, Refusal> {
        Err(Refusal::new(RefusalKind::Conflict, "it is in the file", "edit the file"))
    }
    fn explain(&self, question: ExplainRequest) -> Result<ExplainReply, Refusal> {
        Ok(ExplainReply { steps: vec![question.source], ..ExplainReply::default() })
    }
    fn set_mode(&self, _: &Peer, mode: SetMode) -> Result<Done, Refusal> {
        Ok(Done { done: format!("{} is in {}", mode.segment, mode.mode) })
    }
    fn list_plugins(&self) -> Result<PluginList, Refusal> {
        Ok(PluginList::default())
    }
    fn show_plugin(&self, name: &str) -> Result<PluginDetail, Refusal> {
        let plugin = PluginInfo { name: name.into(), ..PluginInfo::default() };
        Ok(PluginDetail { plugin, ..PluginDetail::default() })
    }
    fn swap_plugin(&self, _: &Peer, _: SwapPlugin) -> Result<PluginSwapped, Refusal> {
        Ok(PluginSwapped::default())
    }
    fn swap_rules(&self, _: &Peer, rules: SwapRules) -> Result<RulesSwapped, Refusal> {
        Ok(RulesSwapped { changed: rules.file.is_some(), ..RulesSwapped::default() })
    }
    fn reload(&self, _: &Peer) -> Result<ReloadReply, Refusal> {
        Ok(ReloadReply { changed: vec!["attacks.action".into()], ..ReloadReply::default() })
    }
    fn shutdown(&self, who: &Peer) -> Result<Done, Refusal> {
        Ok(Done { done: format!("ended by {who}") })
    }
}

struct Fixture {
    dir: tempfile::TempDir,
    server: ControlServer,
    engine: Arc<Echo>,
}

impl Fixture {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let settings = ServerSettings {
            socket: dir.path().join("control.sock"),
            permitted: Permitted::default(),
            body_max: 4096,
            timeout: Duration::from_millis(1500),
            metrics: Some("127.0.0.1:0".parse().unwrap()),
        };
        let engine = Arc::new(Echo::default());
        let operations: Arc<dyn Operations> = Arc::<Echo>::clone(&engine);
        let server = ControlServer::start(&settings, operations).unwrap();
        Fixture { dir, server, engine }
    }

    fn client(&self) -> Client {
        Client::new(&self.dir.path().join("control.sock"))
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.engine.asked.lock().unwrap())
    }

    /// A request byte by byte; the status and the body.
    fn raw(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        let mut stream = UnixStream::connect(self.dir.path().join("control.sock")).unwrap();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n\
             {body}",
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let status = answer[9..12].parse().unwrap();
        (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
    }
}

fn refusal(result: Result<impl std::fmt::Debug, ClientError>) -> (u16, String) {
    match result.unwrap_err() {
        ClientError::Refused { status, reply } => (status, reply.error),
        other => panic!("{other}"),
    }
}

#[test]
fn questions_and_orders_arrive() {
    let f = Fixture::new();
    let c = f.client();
    assert_eq!(c.status().unwrap().blocks, 3);
    assert_eq!(c.metrics().unwrap(), "portcullis_blocks 3\n");
    let filter = BlockFilter {
        segment: Some("a&b=c ü".into()),
        vlan: Some("10.20".into()),
        limit: Some(5),
        ..BlockFilter::default()
    };
    assert_eq!(c.list_blocks(&filter).unwrap().blocks, [info("192.0.2.1")]);
    assert_eq!(f.asked(), [format!("{filter:?}")]);
    let block = AddBlock {
        source: "192.0.2.9".into(),
        segment: None,
        vlan: vec![],
        tunnel: 0,
        seconds: Some(60),
        message: String::new(),
    };
    assert_eq!(c.add_block(&block).unwrap().source, "192.0.2.9");
    let asked = f.asked();
    assert!(asked[0].ends_with(" adds 192.0.2.9"), "{asked:?}");
    let which = BlockSelector { source: "192.0.2.9".into(), ..BlockSelector::default() };
    let remove = RemoveBlocks { blocks: vec![which.clone(); 3], ..RemoveBlocks::default() };
    assert_eq!(c.remove_blocks(&remove).unwrap().count, 3);
    for change in [EndChange::LaterSeconds(5), EndChange::FromNowSeconds(0)] {
        c.extend_block(&ExtendBlock { block: which.clone(), change }).unwrap();
        assert_eq!(f.asked(), [format!("{change:?}")]);
    }
    assert_eq!(c.clear_blocks(&BlockFilter::default()).unwrap().count, 0);
    assert_eq!(c.list_exclusions().unwrap(), ExclusionList::default());
    let mode = SetMode { segment: "lab".into(), mode: "monitor".into() };
    assert_eq!(c.set_mode(&mode).unwrap().done, "lab is in monitor");
    assert_eq!(c.show_plugin("a/b?c").unwrap().plugin.name, "a/b?c");
    assert!(c.list_plugins().unwrap().plugins.is_empty());
    c.swap_plugin(&SwapPlugin { file: "x.wasm".into() }).unwrap();
    let question = ExplainRequest { source: "192.0.2.1".into(), ..ExplainRequest::default() };
    assert_eq!(c.explain(&question).unwrap().steps, ["192.0.2.1"]);
    assert_eq!(c.reload().unwrap().changed, ["attacks.action"]);
    assert!(c.shutdown().unwrap().done.starts_with("ended by "));
}

#[test]
fn refusals_say_what_to_do() {
    let f = Fixture::new();
    let c = f.client();
    let which = |source: &str| BlockSelector { source: source.into(), ..BlockSelector::default() };
    assert_eq!(refusal(c.show_block(&which("x"))), (404, "x is not blocked".into()));
    let row = AddExclusion { row: "y".into() };
    assert_eq!(refusal(c.add_exclusion(&row)), (400, "`y` is no row".into()));
    let row = RemoveExclusion { row: "y".into() };
    assert_eq!(refusal(c.remove_exclusion(&row)).0, 409);
    assert_eq!(refusal(c.show_block(&which("slow"))).0, 504);
    assert_eq!(refusal(c.show_block(&which("panic"))).0, 500);
    assert_eq!(c.status().unwrap().blocks, 3, "still there");
}

#[test]
fn what_is_not_understood_is_refused_in_json() {
    let f = Fixture::new();
    for (method, path, body, status, part) in [
        ("GET", "/v1/nothing", "", 404, "there is no /v1/nothing"),
        ("GET", "/v2/status", "", 404, "ask for /v1/status"),
        ("DELETE", "/v1/blocks", "", 405, "orders"),
        ("GET", "/v1/shutdown", "", 405, "POST"),
        ("POST", "/v1/blocks", "{", 400, "not understood"),
        ("POST", "/v1/blocks", r#"{"source":"a","durtion":1}"#, 400, "unknown field `durtion`"),
        ("POST", "/v1/mode", r#"{"segment":"a"}"#, 400, "missing field `mode`"),
        ("GET", "/v1/blocks?segmnt=a", "", 400, "filter by segment"),
        ("POST", "/v1/blocks", &"x".repeat(5000), 413, "at most 4096 bytes"),
    ] {
        let (got, answer) = f.raw(method, path, body);
        assert_eq!(got, status, "{method} {path}: {answer}");
        let reply: ErrorReply = serde_json::from_str(&answer).unwrap();
        assert!(answer.contains(part) && !reply.remedy.is_empty(), "{method} {path}: {answer}");
    }
}

#[test]
fn a_body_that_never_comes_ends() {
    let f = Fixture::new();
    let mut stream = UnixStream::connect(f.dir.path().join("control.sock")).unwrap();
    stream.write_all(b"POST /v1/mode HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n{").unwrap();
    let mut head = [0; 12];
    stream.read_exact(&mut head).unwrap();
    assert_eq!(&head, b"HTTP/1.1 408");
}

#[test]
fn many_requests_at_once_are_bounded() {
    let f = Fixture::new();
    let results: Vec<u16> = std::thread::scope(|scope| {
        let slow = || {
            let which = BlockSelector { source: "slow".into(), ..BlockSelector::default() };
            refusal(f.client().show_block(&which)).0
        };
        let all: Vec<_> = (0..40).map(|_| scope.spawn(slow)).collect();
        all.into_iter().map(|t| t.join().unwrap()).collect()
    });
    assert_eq!(results.iter().filter(|s| **s == 504).count(), 16, "{results:?}");
    assert_eq!(results.iter().filter(|s| **s == 503).count(), 24, "{results:?}");
}

#[test]
fn the_metrics_port_serves_nothing_else() {
    let f = Fixture::new();
    let ask = |path: &str| {
        let address = f.server.metrics_address().unwrap();
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    let answer = ask("/metrics");
    assert!(answer.contains("portcullis_blocks 3") && answer.contains("version=0.0.4"), "{answer}");
    assert!(ask("/v1/status").starts_with("HTTP/1.1 404"));
    assert!(ask("/v1/blocks").starts_with("HTTP/1.1 404"));
}

#[test]
fn the_socket_is_ours_alone_and_goes_with_us() {
    use std::os::unix::fs::PermissionsExt;
    let f = Fixture::new();
    let path = f.dir.path().join("control.sock");
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let settings = |shared: &[u32]| ServerSettings {
        socket: path.clone(),
        permitted: Permitted { uids: shared.to_vec(), gids: vec![] },
        body_max: 4096,
        timeout: Duration::from_secs(1),
        metrics: None,
    };
    let second = ControlServer::start(&settings(&[]), Arc::new(Echo::default()));
    assert!(second.err().unwrap().to_string().contains("an engine is running"));
    drop(f.server);
    assert!(!path.exists());
    let gone = Client::new(&path).status().unwrap_err();
    assert!(matches!(gone, ClientError::NotRunning { .. }), "{gone}");
    // A dead engine's socket is replaced.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let _third = ControlServer::start(&settings(&[1000]), Arc::new(Echo::default())).unwrap();
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o666, "the kernel says who it is");
    assert_eq!(Client::new(&path).status().unwrap().blocks, 3);
}
