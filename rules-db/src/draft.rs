//! A rule while its keywords are being read, one after another: which buffer is current, which
//! content was last. [`crate::finish`] makes a [`crate::ast::Rule`] of it.

use crate::ast::{
    About, Alerting, BufferTest, Condition, Content, DetectionFilter, Effect, FastPatternPart,
    Flow, Header, Origin, Threshold, Transform,
};
use crate::fault::{Outcome, invalid};
use crate::shared::Shared;
use portcullis_plugin_abi::{application, buffer_kind};

/// Variables of one rule, at most: an [`crate::ast::Operand::Variable`] is a byte.
const VARIABLES_MAX: usize = 255;

/// A test with its place in the rule.
pub(crate) struct Step {
    /// Counts the rule's tests in the order in which they are written.
    pub(crate) serial: usize,
    pub(crate) test: BufferTest,
}

/// The tests on one buffer.
pub(crate) struct List {
    pub(crate) kind: u16,
    pub(crate) transforms: Vec<Transform>,
    pub(crate) steps: Vec<Step>,
}

/// Where the next test goes.
pub(crate) enum Current {
    /// No sticky buffer: the payload.
    Payload,
    /// A sticky buffer. Its list is made by its first test, since transforms may come before.
    Sticky { kind: u16, transforms: Vec<Transform>, list: Option<usize> },
    /// The bytes that `base64_decode` gave.
    Base64,
}

/// A rule while it is being read.
pub(crate) struct Draft<'r, 'a> {
    pub(crate) shared: &'r mut Shared<'a>,
    pub(crate) header: Header,
    pub(crate) gid: u32,
    pub(crate) sid: u32,
    pub(crate) rev: u32,
    pub(crate) flow: Flow,
    pub(crate) conditions: Vec<Condition>,
    pub(crate) effects: Vec<Effect>,
    pub(crate) lists: Vec<List>,
    pub(crate) current: Current,
    pub(crate) threshold: Option<Threshold>,
    pub(crate) detection_filter: Option<DetectionFilter>,
    pub(crate) variables: Vec<String>,
    pub(crate) fast_pattern: Option<(usize, FastPatternPart)>,
    pub(crate) alerting: Alerting,
    pub(crate) about: About,
    pub(crate) priority: Option<u8>,
    pub(crate) keywords: Vec<&'static str>,
    next_serial: usize,
    /// Where `base64_decode` stands: list and step.
    base64: Option<(usize, usize)>,
}

impl<'r, 'a> Draft<'r, 'a> {
    pub(crate) fn new(header: Header, shared: &'r mut Shared<'a>) -> Self {
        Draft {
            shared,
            header,
            gid: 1,
            sid: 0,
            rev: 0,
            flow: Flow::default(),
            conditions: Vec::new(),
            effects: Vec::new(),
            lists: Vec::new(),
            current: Current::Payload,
            threshold: None,
            detection_filter: None,
            variables: Vec::new(),
            fast_pattern: None,
            alerting: Alerting::Alert,
            about: About::default(),
            priority: None,
            keywords: Vec::new(),
            next_serial: 0,
            base64: None,
        }
    }

    /// The buffer that the next test would look at.
    pub(crate) fn current_kind(&self) -> u16 {
        match self.current {
            Current::Sticky { kind, .. } => kind,
            Current::Payload | Current::Base64 => buffer_kind::PAYLOAD,
        }
    }

    /// Whether a sticky buffer (or base64_data) is set.
    pub(crate) fn is_sticky(&self) -> bool {
        !matches!(self.current, Current::Payload)
    }

    /// Adds a test to the current buffer.
    pub(crate) fn push(&mut self, test: BufferTest) {
        if let Current::Base64 = self.current {
            if let Some(tests) = self.base64_tests() {
                tests.push(test);
            }
            return;
        }
        let list = self.current_list();
        self.push_to(list, test);
    }

    /// Adds a test that is relative where it says so: without a sticky buffer such a test belongs
    /// to the buffer of the test before it, as Suricata has it for old-style modifiers.
    pub(crate) fn push_relative_if(&mut self, from: Origin, test: BufferTest) {
        let before = match (from, &self.current) {
            (Origin::Cursor, Current::Payload) => self.last_step(|_| true),
            _ => None,
        };
        match before {
            Some((list, _)) => self.push_to(list, test),
            None => self.push(test),
        }
    }

    /// Adds a test to the list of a kind without transforms.
    pub(crate) fn push_to_kind(&mut self, kind: u16, test: BufferTest) {
        let list = self.list_of(kind, &[]);
        self.push_to(list, test);
    }

    fn push_to(&mut self, list: usize, test: BufferTest) {
        let serial = self.next_serial;
        self.next_serial += 1;
        if let Some(list) = self.lists.get_mut(list) {
            list.steps.push(Step { serial, test });
        }
    }

    fn current_list(&mut self) -> usize {
        let Current::Sticky { kind, transforms, list } = &mut self.current else {
            return self.list_of(buffer_kind::PAYLOAD, &[]);
        };
        if let Some(known) = *list {
            return known;
        }
        let (kind, transforms) = (*kind, std::mem::take(transforms));
        let found = if has_instances(kind) {
            self.lists.push(List { kind, transforms, steps: Vec::new() });
            self.lists.len() - 1
        } else {
            self.list_of(kind, &transforms)
        };
        if let Current::Sticky { list, .. } = &mut self.current {
            *list = Some(found);
        }
        found
    }

    fn list_of(&mut self, kind: u16, transforms: &[Transform]) -> usize {
        let same = |l: &List| l.kind == kind && l.transforms == transforms;
        if let Some(at) = self.lists.iter().position(same) {
            return at;
        }
        self.lists.push(List { kind, transforms: transforms.to_vec(), steps: Vec::new() });
        self.lists.len() - 1
    }

    /// List and step of the last test that is such, wherever it is.
    fn last_step(&self, such: impl Fn(&BufferTest) -> bool) -> Option<(usize, usize)> {
        let places = self.lists.iter().enumerate().flat_map(|(l, list)| {
            let last = list.steps.iter().enumerate().rev().find(|(_, step)| such(&step.test));
            last.map(|(s, step)| (step.serial, l, s))
        });
        places.max().map(|(_, list, step)| (list, step))
    }

    /// List and step of the content that a modifier would change.
    pub(crate) fn last_content_place(&self) -> Option<(usize, usize)> {
        let is_content = |test: &BufferTest| matches!(test, BufferTest::Content(_));
        match self.current {
            Current::Payload => self.last_step(is_content),
            Current::Base64 => None,
            Current::Sticky { list, .. } => {
                let list = list?;
                let steps = &self.lists.get(list)?.steps;
                Some((list, steps.iter().rposition(|step| is_content(&step.test))?))
            }
        }
    }

    /// The content that a modifier changes.
    pub(crate) fn last_content(&mut self, keyword: &str) -> Outcome<&mut Content> {
        let missing = || {
            invalid(
                format!("{keyword} has no content before it in the same buffer"),
                format!("put a content in front of {keyword}"),
            )
        };
        let test = if matches!(self.current, Current::Base64) {
            let tests = self.base64_tests().ok_or_else(missing)?;
            tests.iter_mut().rev().find(|test| matches!(test, BufferTest::Content(_)))
        } else {
            let (list, step) = self.last_content_place().ok_or_else(missing)?;
            let steps = self.lists.get_mut(list).map(|l| &mut l.steps);
            steps.and_then(|s| s.get_mut(step)).map(|s| &mut s.test)
        };
        match test {
            Some(BufferTest::Content(content)) => Ok(content),
            _ => Err(missing()),
        }
    }

    /// The test before the last content in its list, if there is one.
    pub(crate) fn before_last_content(&self) -> Option<&Step> {
        let (list, step) = self.last_content_place()?;
        self.lists.get(list)?.steps.get(step.checked_sub(1)?)
    }

    /// Moves the last content of the payload to a buffer (old-style modifiers).
    pub(crate) fn move_last_payload_content(&mut self, kind: u16, keyword: &str) -> Outcome {
        let payload = self.lists.iter_mut().find(|l| l.kind == buffer_kind::PAYLOAD);
        let found = payload.and_then(|list| {
            let at = list.steps.iter().rposition(|s| matches!(s.test, BufferTest::Content(_)))?;
            Some(list.steps.remove(at))
        });
        let step = found.ok_or_else(|| {
            invalid(
                format!("{keyword} has no content of the payload before it"),
                format!("put a content in front of {keyword}, or use the sticky buffer"),
            )
        })?;
        let list = self.list_of(kind, &[]);
        if let Some(list) = self.lists.get_mut(list) {
            list.steps.push(step);
        }
        Ok(())
    }

    /// Remembers that the last test pushed is `base64_decode`.
    pub(crate) fn note_base64(&mut self) -> Outcome {
        if self.base64.is_some() {
            let remedy = "write one base64_decode in a rule";
            return Err(invalid("there is a base64_decode already", remedy));
        }
        self.base64 = self.last_step(|test| matches!(test, BufferTest::Base64(_)));
        Ok(())
    }

    /// The tests of `base64_data`, where there was a `base64_decode`.
    pub(crate) fn base64_tests(&mut self) -> Option<&mut Vec<BufferTest>> {
        let (list, step) = self.base64?;
        match &mut self.lists.get_mut(list)?.steps.get_mut(step)?.test {
            BufferTest::Base64(base64) => Some(&mut base64.tests),
            _ => None,
        }
    }

    /// The rule is for flows of this application.
    pub(crate) fn require_application(&mut self, number: u16) -> Outcome {
        let name = application::name(number).unwrap_or("?");
        match self.header.protocol.application {
            Some(known) if known == number => Ok(()),
            Some(known) => Err(invalid(
                format!("it is of {name}, the rule of {}", application::name(known).unwrap_or("?")),
                format!("write a rule of its own with the protocol {name}"),
            )),
            None => {
                let transports = &self.header.protocol.transports;
                let udp = number == application::DNS && transports.contains(&17);
                if !transports.is_empty() && !transports.contains(&6) && !udp {
                    return Err(invalid(
                        format!("{name} is not over {}", self.header.protocol.word),
                        format!("write {name} as the protocol"),
                    ));
                }
                self.header.protocol.application = Some(number);
                Ok(())
            }
        }
    }

    /// The number of a variable, which must exist.
    pub(crate) fn variable(&self, name: &str) -> Outcome<u8> {
        let at = self.variables.iter().position(|v| v == name).and_then(|n| u8::try_from(n).ok());
        at.ok_or_else(|| {
            invalid(
                format!("`{name}` is neither a number nor a variable of this rule"),
                "write a number, or extract it before with byte_extract or byte_math",
            )
        })
    }

    /// A variable that may be new.
    pub(crate) fn new_variable(&mut self, name: &str) -> Outcome<u8> {
        let first = name.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
        if !first || name.bytes().any(|b| !(b.is_ascii_alphanumeric() || b"_.-".contains(&b))) {
            return Err(invalid(
                format!("`{name}` is not a name for a variable"),
                "begin it with a letter and use letters, digits and _",
            ));
        }
        if let Ok(known) = self.variable(name) {
            return Ok(known);
        }
        if self.variables.len() >= VARIABLES_MAX {
            let remedy = "split the rule";
            return Err(invalid(format!("more than {VARIABLES_MAX} variables"), remedy));
        }
        self.variables.push(name.to_owned());
        self.variable(name)
    }

    /// The serial of a test.
    pub(crate) fn serial(&self, place: (usize, usize)) -> Option<usize> {
        self.lists.get(place.0)?.steps.get(place.1).map(|step| step.serial)
    }
}

/// Whether a transaction can have several instances of a buffer, so that naming it twice in a
/// rule means two instances, which may differ.
pub(crate) fn has_instances(kind: u16) -> bool {
    matches!(
        kind,
        buffer_kind::DNS_QUERY_NAME
            | buffer_kind::DNS_ANSWER_NAME
            | buffer_kind::DNS_RESPONSE_RRNAME
            | buffer_kind::HTTP_REQUEST_HEADER
            | buffer_kind::HTTP_RESPONSE_HEADER
            | buffer_kind::TLS_CERTS
            | buffer_kind::TLS_ALPN
            | buffer_kind::TLS_SUBJECTALTNAME
            | buffer_kind::SMTP_RCPT_TO
            | buffer_kind::FTP_REPLY
    )
}
