//! `flow` and what is kept with flows and hosts: `flowbits`, `xbits`, `hostbits`, `flowint`,
//! `flowvar`, `stream_size`, `flow.age`.

use super::{Keyword, Value, bare, either};
use crate::ast::{
    Alerting, BitChange, BitTest, CaptureScope, CapturedTest, Condition, Effect, FlowDirection,
    FlowPart, FlowState, FlowintAsk, FlowintChange, FlowintOperator, FlowintTest, FlowintValue,
    NumberTest, Polarity, StreamSide, StreamSize, XbitTest, XbitTrack,
};
use crate::draft::Draft;
use crate::fault::{Outcome, invalid, shown};
use crate::numbers::{bounded, comparison, unsigned};

pub(super) const ROWS: &[Keyword] = &[
    bare("flow", flow),
    bare("flowbits", flowbits),
    bare("xbits", xbits),
    bare("hostbits", hostbits),
    bare("flowint", flowint),
    bare("stream_size", stream_size),
    bare("flow.age", flow_age),
    either("flowvar", |d, v| captured(d, v, CaptureScope::Flow)),
    either("pktvar", |d, v| captured(d, v, CaptureScope::Packet)),
];

fn flow(draft: &mut Draft<'_, '_>, value: &Value<'_>) -> Outcome {
    let flow = &mut draft.flow;
    for word in value.text.split(|&b| b == b',').map(<[u8]>::trim_ascii) {
        let again = || {
            let reason = format!("`{}` contradicts or repeats a word before it", shown(word));
            invalid(reason, "take one of the two out")
        };
        let direction = |to| if flow.direction.is_none() { Ok(Some(to)) } else { Err(again()) };
        let state = |to| if flow.state == FlowState::Any { Ok(to) } else { Err(again()) };
        let part = |was: FlowPart, to| if was == FlowPart::Any { Ok(to) } else { Err(again()) };
        match word.to_ascii_lowercase().as_slice() {
            b"to_server" | b"from_client" | b"toserver" => {
                flow.direction = direction(FlowDirection::ToServer)?;
            }
            b"to_client" | b"from_server" | b"toclient" => {
                flow.direction = direction(FlowDirection::ToClient)?;
            }
            b"established" => flow.state = state(FlowState::Established)?,
            b"not_established" => flow.state = state(FlowState::NotEstablished)?,
            b"stateless" => flow.state = state(FlowState::Stateless)?,
            b"only_stream" => flow.stream = part(flow.stream, FlowPart::Only)?,
            b"no_stream" => flow.stream = part(flow.stream, FlowPart::Not)?,
            b"only_frag" => flow.fragment = part(flow.fragment, FlowPart::Only)?,
            b"no_frag" => flow.fragment = part(flow.fragment, FlowPart::Not)?,
            _ => {
                return Err(invalid(
                    format!("`{}` is not a word of flow", shown(word)),
                    "write to_server, to_client, established, not_established, stateless, \
                     only_stream, no_stream, only_frag or no_frag",
                ));
            }
        }
    }
    Ok(())
}

fn parts<'t>(value: &Value<'t>) -> Vec<&'t [u8]> {
    value.text.split(|&b| b == b',').map(<[u8]>::trim_ascii).collect()
}

/// The name of a bit: printable, no blanks.
pub(crate) fn validate_bit_name(name: &[u8]) -> Outcome<String> {
    let text = std::str::from_utf8(name).ok();
    let good = text.filter(|t| !t.is_empty() && !t.contains(char::is_whitespace));
    good.map(str::to_owned).ok_or_else(|| {
        let reason = format!("`{}` is not a name", shown(name));
        invalid(reason, "write a name without blanks")
    })
}

fn flowbits(draft: &mut Draft<'_, '_>, value: &Value<'_>) -> Outcome {
    let parts = parts(value);
    let (command, names) = match parts.as_slice() {
        [b"noalert"] => {
            draft.alerting = Alerting::NoAlert;
            return Ok(());
        }
        [command, names] => (*command, *names),
        _ => return Err(invalid("a command and a name are wanted", "write flowbits:isset,NAME")),
    };
    let names: Outcome<Vec<String>> =
        names.split(|&b| b == b'|').map(|name| validate_bit_name(name.trim_ascii())).collect();
    let names = names?;
    let change = |change| {
        if names.len() > 1 {
            let remedy = "write one flowbits for each bit";
            return Err(invalid("`|` is only for isset and isnotset", remedy));
        }
        Ok(Effect::Flowbits { names: names.clone(), change })
    };
    let test = |polarity| Condition::Flowbits(BitTest { names: names.clone(), polarity });
    match command {
        b"isset" => draft.conditions.push(test(Polarity::Plain)),
        b"isnotset" => draft.conditions.push(test(Polarity::Negated)),
        b"set" => draft.effects.push(change(BitChange::Set)?),
        b"unset" => draft.effects.push(change(BitChange::Unset)?),
        b"toggle" => draft.effects.push(change(BitChange::Toggle)?),
        _ => {
            return Err(invalid(
                format!("`{}` is not a command of flowbits", shown(command)),
                "write set, unset, toggle, isset, isnotset or noalert",
            ));
        }
    }
    Ok(())
}

/// What `xbits` and `hostbits` share.
fn bit_on_host(
    draft: &mut Draft<'_, '_>,
    command: &[u8],
    name: String,
    track: XbitTrack,
    expire: u32,
) -> Outcome {
    let change = |name, change| Effect::Xbits { name, track, change, expire };
    let test = |name, polarity| Condition::Xbits(XbitTest { name, track, polarity });
    match command {
        b"isset" => draft.conditions.push(test(name, Polarity::Plain)),
        b"isnotset" => draft.conditions.push(test(name, Polarity::Negated)),
        b"set" => draft.effects.push(change(name, BitChange::Set)),
        b"unset" => draft.effects.push(change(name, BitChange::Unset)),
        b"toggle" => draft.effects.push(change(name, BitChange::Toggle)),
        _ => {
            let reason = format!("`{}` is not a command", shown(command));
            return Err(invalid(reason, "write set, unset, toggle, isset or isnotset"));
        }
    }
    Ok(())
}

fn xbits(draft: &mut Draft<'_, '_>, value: &Value<'_>) -> Outcome {
    /// Seconds that an xbit lives where the rule does not say.
    const EXPIRE: u32 = 30;
    let parts = parts(value);
    let [command, name, rest @ ..] = parts.as_slice() else {
        if parts.as_slice() == [b"noalert"] {
            draft.alerting = Alerting::NoAlert;
            return Ok(());
        }
        let remedy = "write xbits:isset,NAME,track ip_src";
        return Err(invalid("a command, a name and a track are wanted", remedy));
    };
    let name = validate_bit_name(name)?;
    let (mut track, mut expire) = (None, EXPIRE);
    for part in rest {
        let end = part.iter().position(u8::is_ascii_whitespace).unwrap_or(part.len());
        let (word, argument) = part.split_at(end);
        match (word, argument.trim_ascii()) {
            (b"track", b"ip_src") => track = Some(XbitTrack::Source),
            (b"track", b"ip_dst") => track = Some(XbitTrack::Destination),
            (b"track", b"ip_pair") => track = Some(XbitTrack::Pair),
            (b"track", b"tx") => track = Some(XbitTrack::Transaction),
            (b"expire", seconds) => {
                let n = bounded(seconds, u64::from(u32::MAX))?;
                expire = u32::try_from(n).ok().filter(|n| *n > 0).ok_or_else(|| {
                    invalid("expire 0 would never be seen", "write expire in seconds, from 1")
                })?;
            }
            _ => {
                return Err(invalid(
                    format!("`{}` is not understood here", shown(part)),
                    "write track ip_src, ip_dst, ip_pair or tx, and expire SECONDS",
                ));
            }
        }
    }
    let track = track.ok_or_else(|| {
        invalid("it has no track", "write track ip_src, track ip_dst, track ip_pair or track tx")
    })?;
    bit_on_host(draft, command, name, track, expire)
}

fn hostbits(draft: &mut Draft<'_, '_>, value: &Value<'_>) -> Outcome {
    /// Seconds that a host's bit lives, as Suricata has it.
    const EXPIRE: u32 = 300;
    let parts = parts(value);
    let (command, name, end) = match parts.as_slice() {
        [command, name] => (*command, *name, &b"src"[..]),
        [command, name, end] => (*command, *name, *end),
        _ => {
            let remedy = "write hostbits:isset,NAME,src";
            return Err(invalid("a command and a name are wanted", remedy));
        }
    };
    let track = match end {
        b"src" => XbitTrack::Source,
        b"dst" => XbitTrack::Destination,
        _ => {
            let reason = format!("`{}` is not an end", shown(end));
            return Err(invalid(reason, "write src or dst"));
        }
    };
    bit_on_host(draft, command, validate_bit_name(name)?, track, EXPIRE)
}

fn flowint(draft: &mut Draft<'_, '_>, value: &Value<'_>) -> Outcome {
    let parts = parts(value);
    let [name, operator, rest @ ..] = parts.as_slice() else {
        return Err(invalid("a name and an operator are wanted", "write flowint:NAME,+,1"));
    };
    let name = validate_bit_name(name)?;
    let ask = |test| Condition::Flowint(FlowintTest { name: name.clone(), test });
    match (*operator, rest) {
        (b"isset", []) => draft.conditions.push(ask(FlowintAsk::IsSet)),
        (b"notset" | b"isnotset", []) => draft.conditions.push(ask(FlowintAsk::IsNotSet)),
        (operator, [operand]) => {
            let value = flowint_value(operand)?;
            if let Some(change) = flowint_change(operator) {
                draft.effects.push(Effect::Flowint { name, change, value });
            } else {
                let operator = flowint_operator(operator)?;
                draft.conditions.push(ask(FlowintAsk::Compare(operator, value)));
            }
        }
        _ => {
            let remedy = "write one value behind the operator, none behind isset and notset";
            return Err(invalid("the values do not fit the operator", remedy));
        }
    }
    Ok(())
}

fn flowint_value(text: &[u8]) -> Outcome<FlowintValue> {
    match unsigned(text) {
        Some(n) => u32::try_from(n)
            .map(FlowintValue::Number)
            .map_err(|_| invalid(format!("{n} is too large"), "write a number below 4294967296")),
        None => validate_bit_name(text).map(FlowintValue::Named),
    }
}

fn flowint_change(operator: &[u8]) -> Option<FlowintChange> {
    match operator {
        b"=" => Some(FlowintChange::Set),
        b"+" => Some(FlowintChange::Add),
        b"-" => Some(FlowintChange::Subtract),
        _ => None,
    }
}

fn flowint_operator(operator: &[u8]) -> Outcome<FlowintOperator> {
    Ok(match operator {
        b"<" => FlowintOperator::Less,
        b"<=" => FlowintOperator::LessEqual,
        b"==" => FlowintOperator::Equal,
        b"!=" => FlowintOperator::NotEqual,
        b">=" => FlowintOperator::GreaterEqual,
        b">" => FlowintOperator::Greater,
        _ => {
            return Err(invalid(
                format!("`{}` is not an operator of flowint", shown(operator)),
                "write one of = + - < <= == != >= > isset notset",
            ));
        }
    })
}

fn stream_size(draft: &mut Draft<'_, '_>, value: &Value<'_>) -> Outcome {
    let parts = parts(value);
    let [side, operator, number] = parts.as_slice() else {
        return Err(invalid("three parts are wanted", "write stream_size:server,<,500"));
    };
    let side = match *side {
        b"client" => StreamSide::Client,
        b"server" => StreamSide::Server,
        b"both" => StreamSide::Both,
        b"either" => StreamSide::Either,
        _ => {
            let reason = format!("`{}` is not a side", shown(side));
            return Err(invalid(reason, "write client, server, both or either"));
        }
    };
    if !matches!(*operator, b"<" | b">" | b"=" | b"!=" | b"<=" | b">=") {
        let reason = format!("`{}` is not an operator", shown(operator));
        return Err(invalid(reason, "write one of < > = != <= >="));
    }
    let size: NumberTest = comparison(&[*operator, *number].concat(), u64::from(u32::MAX))?;
    draft.conditions.push(Condition::StreamSize(StreamSize { side, size }));
    Ok(())
}

fn flow_age(draft: &mut Draft<'_, '_>, value: &Value<'_>) -> Outcome {
    let test = comparison(value.text, u64::from(u32::MAX))?;
    draft.conditions.push(Condition::FlowAge(test));
    Ok(())
}

fn captured(draft: &mut Draft<'_, '_>, value: &Value<'_>, scope: CaptureScope) -> Outcome {
    let comma = value.text.iter().position(|&b| b == b',');
    let fault = || invalid("a name and bytes are wanted", "write flowvar:NAME,\"bytes\"");
    let (name, text) = value.text.split_at(comma.ok_or_else(fault)?);
    let text = text.strip_prefix(b",").unwrap_or_default().trim_ascii();
    let (polarity, text) = match text.strip_prefix(b"!") {
        Some(rest) => (Polarity::Negated, rest),
        None => (Polarity::Plain, text),
    };
    let text = text.strip_prefix(b"\"").unwrap_or(text);
    let text = text.strip_suffix(b"\"").unwrap_or(text);
    let bytes = super::content::bytes_of(&Value { text, polarity, at: value.at })?;
    let name = validate_bit_name(name)?;
    draft.conditions.push(Condition::Captured(CapturedTest { scope, name, bytes, polarity }));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::tried;
    use super::*;

    #[test]
    fn flow_words() {
        let flow = tried("flow: established , to_server,no_stream;").map(|r| r.flow);
        let flow = flow.unwrap_or_else(|f| panic!("{f}"));
        assert_eq!(flow.direction, Some(FlowDirection::ToServer));
        assert_eq!((flow.state, flow.stream), (FlowState::Established, FlowPart::Not));
    }

    #[test]
    fn bits_are_conditions_or_effects() {
        let rule = tried("flowbits:isset,a|b; flowbits:set,c; flowbits:noalert;");
        let rule = rule.unwrap_or_else(|f| panic!("{f}"));
        assert_eq!(rule.alerting, Alerting::NoAlert);
        assert!(matches!(&rule.conditions[0], Condition::Flowbits(t) if t.names == ["a", "b"]));
        assert_eq!(rule.effects.len(), 1);
        let rule = tried("xbits:set, x, track ip_pair, expire 15; hostbits:isset,y,dst;");
        let rule = rule.unwrap_or_else(|f| panic!("{f}"));
        let want = Effect::Xbits {
            name: "x".to_owned(),
            track: XbitTrack::Pair,
            change: BitChange::Set,
            expire: 15,
        };
        assert_eq!(rule.effects, [want]);
        let rule = tried("flowint: n, +, 1; flowint:n,>,m; flowint:n,isset;");
        let rule = rule.unwrap_or_else(|f| panic!("{f}"));
        assert_eq!((rule.effects.len(), rule.conditions.len()), (1, 2));
        let rule = tried("stream_size:both,>=,20; flow.age:>20; flowvar:n,\"a|00|\";");
        assert_eq!(rule.map(|r| r.conditions.len()), Ok(3));
    }

    #[test]
    fn bad_ones_are_refused() {
        for bad in [
            "flow:to_server,to_client;",
            "flow:established,stateless;",
            "flow:somewhere;",
            "flow:to_server; flow:to_client;",
            "flowbits:set;",
            "flowbits:set,a|b;",
            "flowbits:put,a;",
            "flowbits:set,a b;",
            "xbits:set,a;",
            "xbits:set,a,track by_src;",
            "xbits:set,a,track ip_src,expire 0;",
            "hostbits:set,a,both;",
            "flowint:a,+;",
            "flowint:a,%,1;",
            "flowint:a,isset,1;",
            "stream_size:server,5;",
            "stream_size:server,~,5;",
            "stream_size:middle,<,5;",
            "flowvar:a;",
        ] {
            assert!(tried(bad).is_err(), "{bad}");
        }
    }
}
