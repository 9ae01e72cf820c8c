//! What a rule asks of packet, flow and memory, and what it does there, as checks and effects.
//! What can only be asked of a buffer becomes a part.

use super::steps::{comparison, negated};
use super::{Compiler, info, kinds};
use crate::ast::{
    self, BitChange, BitsMode, CertEnd, Condition, Effect, FlowintAsk, FlowintChange,
    FlowintOperator, FlowintValue, IpOption, Polarity, ReputationSide, ReputationTest, Rule,
    StreamSide, ThresholdKind, XbitTrack,
};
use portcullis_plugin_abi::buffer_kind as kind;
use portcullis_rules_form::{
    Body, Check, Comparison, DataKind, Field, Flowbit, NONE, Part, Range, Step, Track, action,
    head, needs, part,
};

fn number(field: Field, test: &ast::NumberTest) -> Check {
    Check::Number { field, comparison: comparison(test) }
}

fn equal(field: Field, n: u64) -> Check {
    Check::Number { field, comparison: Comparison::within(n, n) }
}

fn mode(mode: BitsMode) -> u8 {
    match mode {
        BitsMode::Exact => 0,
        BitsMode::All => 1,
        BitsMode::Any => 2,
        BitsMode::None => 3,
    }
}

fn side(side: StreamSide) -> u8 {
    match side {
        StreamSide::Server => 0,
        StreamSide::Client => 1,
        StreamSide::Both => 2,
        StreamSide::Either => 3,
    }
}

fn asked(polarity: Polarity) -> Flowbit {
    if negated(polarity) { Flowbit::IsNotSet } else { Flowbit::IsSet }
}

fn change(change: BitChange) -> Flowbit {
    match change {
        BitChange::Set => Flowbit::Set,
        BitChange::Unset => Flowbit::Unset,
        BitChange::Toggle => Flowbit::Toggle,
    }
}

fn xbit_track(track: XbitTrack) -> Track {
    match track {
        XbitTrack::Source => Track::Source,
        XbitTrack::Destination => Track::Destination,
        XbitTrack::Pair => Track::Pair,
        XbitTrack::Transaction => Track::Transaction,
    }
}

fn track(track: ast::Track) -> Track {
    match track {
        ast::Track::Source => Track::Source,
        ast::Track::Destination => Track::Destination,
        ast::Track::Both | ast::Track::Either => Track::Pair,
        ast::Track::Rule => Track::Rule,
        ast::Track::Flow => Track::Flow,
    }
}

/// A part of one step on a buffer that holds a number.
fn numeric(buffer: u16, step: Step) -> Part {
    Part { kind: buffer, flags: part::MULTIPLE, transforms: Vec::new(), steps: vec![step] }
}

fn in_range(test: &ast::NumberTest) -> Step {
    Step::Number {
        negated: negated(test.polarity),
        ranges: vec![Range { low: test.low, high: test.high }],
    }
}

fn one_of(values: impl IntoIterator<Item = u16>, polarity: Polarity) -> Step {
    let range = |v: u16| Range { low: v.into(), high: v.into() };
    Step::Number { negated: negated(polarity), ranges: values.into_iter().map(range).collect() }
}

impl Compiler<'_> {
    /// What the header asks beyond its bits.
    pub(super) fn header_checks(&mut self, rule: &Rule, body: &mut Body) {
        let transports = &rule.header.protocol.transports;
        if transports.iter().any(|t| !matches!(t, 1 | 6 | 17 | 58 | 132)) {
            body.checks.push(Check::Protocols { negated: false, numbers: transports.clone() });
        }
    }

    pub(super) fn conditions(&mut self, rule: &Rule, body: &mut Body) {
        for condition in &rule.conditions {
            if let Some(check) = packet_number(condition) {
                body.checks.push(check);
            } else if let Some(part) = self.transaction_part(rule, condition) {
                body.parts.push(part);
            } else {
                let check = self.check(rule, condition);
                body.checks.push(check);
            }
        }
        if let Some(filter) = &rule.detection_filter {
            body.effects.push(Check::Threshold {
                kind: 3,
                track: track(filter.track),
                count: filter.count,
                seconds: filter.seconds,
                multiplier: 0,
            });
        }
    }

    fn check(&mut self, rule: &Rule, condition: &Condition) -> Check {
        match condition {
            Condition::SameIp => Check::SameAddress,
            Condition::TcpFlags(t) => {
                Check::TcpFlags { mode: mode(t.mode), bits: t.flags, ignored: t.ignored }
            }
            Condition::FragBits(t) => Check::Bits {
                field: Field::FragmentBits,
                mode: mode(t.mode),
                bits: u32::from(t.bits),
                ignored: 0,
            },
            Condition::IpOpts(option) => {
                let wanted = match option {
                    IpOption::Any => u32::MAX,
                    // A bit for each of the 32 option numbers; class and copy do not count.
                    IpOption::Number(n) => 1 << (n & 31),
                };
                Check::Bits { field: Field::IpOptions, mode: 2, bits: wanted, ignored: 0 }
            }
            Condition::StreamSize(s) => {
                Check::StreamSize { side: side(s.side), comparison: comparison(&s.size) }
            }
            Condition::Flowbits(test) => Check::Flowbits {
                operation: asked(test.polarity),
                bits: test.names.iter().map(|n| self.names.number(n)).collect(),
            },
            Condition::Xbits(test) => Check::Xbits {
                operation: asked(test.polarity),
                bit: self.names.number(&test.name),
                track: xbit_track(test.track),
                expire_s: self.names.expiry(&test.name),
            },
            Condition::Flowint(test) => self.flowint(test),
            Condition::IpReputation(rep) => self.reputation(rep),
            Condition::AppLayerProtocol(p) => {
                Check::Application { application: p.application, negated: negated(p.polarity) }
            }
            Condition::DecodeEvent(name) | Condition::StreamEvent(name) => self.anomaly(rule, name),
            other => {
                self.cannot(rule, asks(other));
                Check::Never
            }
        }
    }

    fn flowint(&self, test: &ast::FlowintTest) -> Check {
        let (operation, value) = match &test.test {
            FlowintAsk::IsSet => (6, None),
            FlowintAsk::IsNotSet => (7, None),
            FlowintAsk::Compare(operator, value) => {
                let operation = match operator {
                    FlowintOperator::Less => 0,
                    FlowintOperator::Greater => 1,
                    FlowintOperator::Equal => 2,
                    FlowintOperator::LessEqual => 3,
                    FlowintOperator::GreaterEqual => 4,
                    FlowintOperator::NotEqual => 5,
                };
                (operation, Some(value))
            }
        };
        let (value, named) = value.map_or((0, false), |v| self.flowint_value(v));
        Check::Flowint { variable: self.names.number(&test.name), operation, value, named }
    }

    fn flowint_value(&self, value: &FlowintValue) -> (u32, bool) {
        match value {
            FlowintValue::Number(n) => (*n, false),
            FlowintValue::Named(name) => (self.names.number(name).into(), true),
        }
    }

    /// The engine's names of an event of Suricata's; the names of the engine are the form's.
    fn anomaly(&mut self, rule: &Rule, name: &str) -> Check {
        let names = (self.vocabulary.anomaly)(name);
        if names.is_empty() {
            self.cannot(rule, format!("the event `{name}`"));
            return Check::Never;
        }
        Check::Anomaly { name: self.builder.event_name(&names.join(" ")) }
    }

    /// Reputations are fixed when rules are compiled: those that pass become a set of addresses.
    fn reputation(&mut self, rep: &ast::IpReputation) -> Check {
        let category = self.rules.reputations.categories.get(&rep.category).copied();
        let passes = |score: u8| match rep.score {
            ReputationTest::Score(test) => test.holds(score.into()),
            ReputationTest::IsSet | ReputationTest::IsNotSet => true,
        };
        let rows = self.rules.reputations.rows.iter().filter(|row| Some(row.2) == category);
        let ranges = info::reputed(rows.map(|&(low, high, _, score)| (low, high, passes(score))));
        Check::Address {
            side: match rep.side {
                ReputationSide::Source => 0,
                ReputationSide::Destination => 1,
                ReputationSide::Any => 2,
                ReputationSide::Both => 3,
            },
            negated: rep.score == ReputationTest::IsNotSet,
            set: self.builder.address_set(Some(&ranges)),
        }
    }

    /// What is asked of the transaction's numbers.
    fn transaction_part(&mut self, rule: &Rule, condition: &Condition) -> Option<Part> {
        Some(match condition {
            Condition::Number { kind, test } => numeric(*kind, in_range(test)),
            Condition::TlsVersion { versions, polarity } => {
                let step = one_of(versions.iter().copied(), *polarity);
                numeric(kind::TLS_VERSION_NUMBER, step)
            }
            Condition::TlsState { states, polarity } => {
                let bits = u64::from(*states);
                let step = Step::NumberBits { negated: negated(*polarity), bits };
                numeric(kind::TLS_STATE, step)
            }
            Condition::TlsCertTime { end, test } => {
                let buffer = match end {
                    CertEnd::NotBefore => kind::TLS_CERT_NOT_BEFORE,
                    CertEnd::NotAfter => kind::TLS_CERT_NOT_AFTER,
                };
                numeric(buffer, in_range(test))
            }
            Condition::TlsCertExpired => {
                numeric(kind::TLS_CERT_NOT_AFTER, Step::Time { future: false })
            }
            Condition::TlsCertValid => {
                numeric(kind::TLS_CERT_NOT_AFTER, Step::Time { future: true })
            }
            Condition::AppLayerEvent(name) => {
                let known = (self.vocabulary.app_event)(name);
                if known.is_none() {
                    self.cannot(rule, format!("the event `{name}`"));
                }
                let step = known.map_or(Step::Never, |n| one_of([n], Polarity::Plain));
                numeric(kind::APP_EVENT, step)
            }
            Condition::FileHash(hash) => {
                let set = self.builder.data_set(&hash.file, DataKind::Text, &hash.values);
                let operation = u8::from(negated(hash.polarity));
                numeric(hash.kind, Step::Dataset { set, operation })
            }
            Condition::FtpBounce => numeric(kind::FTP_COMMAND_DATA, Step::FtpBounce),
            _ => return None,
        })
    }

    /// What only a packet has is never there where a rule is tried on something else.
    pub(super) fn packets_own(&mut self, rule: &Rule, body: &Body) {
        let needs = body.head.needs;
        if needs & needs::PACKET != 0 && needs & needs::TRANSACTION == 0 {
            return;
        }
        let is_asked = body.checks.iter().any(|check| match check {
            Check::Number { field, .. } | Check::Bits { field, .. } => is_of_packet(*field),
            _ => false,
        });
        let header = |part: &Part| kinds::is_header(part.kind) && !kinds::is_address(part.kind);
        if is_asked || body.parts.iter().any(header) {
            self.cannot(rule, "a packet's own field or header, beside what no packet has");
        }
    }

    pub(super) fn effects(&mut self, rule: &Rule, body: &mut Body) {
        for effect in &rule.effects {
            match self.effect(effect) {
                Ok(check) => body.effects.push(check),
                Err(asks) => self.cannot(rule, asks),
            }
        }
        for filter in &rule.rate_filters {
            body.effects.push(Check::RateFilter {
                track: track(filter.track),
                action: match filter.action {
                    ast::NewAction::Alert => action::ALERT,
                    ast::NewAction::Drop => action::DROP,
                    ast::NewAction::Reject => action::REJECT,
                    ast::NewAction::Pass => action::PASS,
                },
                count: filter.count,
                seconds: filter.seconds,
                timeout: filter.timeout,
            });
        }
        for suppression in &rule.suppressions {
            let check = self.suppression(suppression);
            body.effects.push(check);
        }
        if let Some(t) = &rule.threshold {
            body.effects.push(Check::Threshold {
                kind: match t.kind {
                    ThresholdKind::Limit => 0,
                    ThresholdKind::Threshold => 1,
                    ThresholdKind::Both => 2,
                    ThresholdKind::Backoff => 4,
                },
                track: track(t.track),
                count: t.count,
                seconds: t.seconds,
                multiplier: t.multiplier,
            });
        }
        let needs = body.head.needs;
        let by_payload = needs & (needs::STREAM | needs::PACKET) != 0;
        if body.head.traits & head::MIXED != 0 && !by_payload {
            self.cannot(rule, "raw payload without a literal beside fields: taken as it should be");
        }
    }

    fn effect(&self, effect: &Effect) -> Result<Check, &'static str> {
        Ok(match effect {
            Effect::Flowbits { names, change: how } => Check::Flowbits {
                operation: change(*how),
                bits: names.iter().map(|n| self.names.number(n)).collect(),
            },
            Effect::Xbits { name, track, change: how, .. } => Check::Xbits {
                operation: change(*how),
                bit: self.names.number(name),
                track: xbit_track(*track),
                expire_s: self.names.expiry(name),
            },
            Effect::Flowint { name, change, value } => {
                let (value, named) = self.flowint_value(value);
                let operation = match change {
                    FlowintChange::Set => 8,
                    FlowintChange::Add => 9,
                    FlowintChange::Subtract => 10,
                };
                Check::Flowint { variable: self.names.number(name), operation, value, named }
            }
            Effect::Tag(_) => return Err("`tag`: the packets that follow are not kept"),
            Effect::Bypass => return Err("`bypass`: the flow is inspected all the same"),
            Effect::FileStore { .. } => return Err("`filestore`: files are not kept"),
            Effect::TlsStore => return Err("`tls.store`: certificates are not kept"),
            Effect::Configure(_) => return Err("`config`: records are written all the same"),
        })
    }

    fn suppression(&mut self, suppression: &ast::Suppression) -> Check {
        let Some(only) = &suppression.only else { return Check::Suppress { side: 2, set: NONE } };
        let ranges = info::address_ranges(&only.addresses);
        Check::Suppress {
            side: match only.track {
                ast::Track::Source => 0,
                ast::Track::Destination => 1,
                _ => 2,
            },
            set: self.builder.address_set(ranges.as_deref()),
        }
    }
}

/// Whether it is known of single packets only.
fn is_of_packet(field: Field) -> bool {
    matches!(
        field,
        Field::PayloadSize
            | Field::Ttl
            | Field::Tos
            | Field::IpId
            | Field::FragmentBits
            | Field::FragmentOffset
            | Field::Sequence
            | Field::Acknowledgement
            | Field::Window
            | Field::SegmentSize
            | Field::IcmpType
            | Field::IcmpCode
            | Field::IcmpId
            | Field::IcmpSequence
            | Field::IcmpMtu
            | Field::IpOptions
    )
}

/// Conditions that are a number of the packet or the flow.
fn packet_number(condition: &Condition) -> Option<Check> {
    Some(match condition {
        Condition::Dsize(t) => number(Field::PayloadSize, t),
        Condition::Ttl(t) => number(Field::Ttl, t),
        Condition::Tos(t) => number(Field::Tos, t),
        Condition::IpId(t) => number(Field::IpId, t),
        Condition::IpProto(t) => number(Field::IpProtocol, t),
        Condition::FragOffset(t) => number(Field::FragmentOffset, t),
        Condition::IpVersion(v) => equal(Field::IpVersion, u64::from(*v)),
        Condition::Seq(n) => equal(Field::Sequence, u64::from(*n)),
        Condition::Ack(n) => equal(Field::Acknowledgement, u64::from(*n)),
        Condition::Window(t) => number(Field::Window, t),
        Condition::Mss(t) => number(Field::SegmentSize, t),
        Condition::IcmpType(t) => number(Field::IcmpType, t),
        Condition::IcmpCode(t) => number(Field::IcmpCode, t),
        Condition::IcmpId(n) => equal(Field::IcmpId, u64::from(*n)),
        Condition::IcmpSeq(n) => equal(Field::IcmpSequence, u64::from(*n)),
        Condition::Icmpv6Mtu(t) => number(Field::IcmpMtu, t),
        Condition::FlowAge(t) => number(Field::FlowAge, t),
        _ => return None,
    })
}

/// What a condition that is not evaluated asks for, in words.
fn asks(condition: &Condition) -> String {
    match condition {
        Condition::Checksum(..) => "whether a checksum is right".to_owned(),
        Condition::Captured(test) => format!("what a pcre captured as `{}`", test.name),
        other => format!("{other:?}"),
    }
}
