//! What can only be judged when the whole rule has been read: whether its parts go together.

use crate::ast::{
    BufferTest, BufferTests, Condition, DataWanted, FastPattern, FlowPart, NumberTest, Operand,
    Place, Polarity, Rule, RuleAction,
};
use crate::draft::{Draft, List};
use crate::fault::{Outcome, invalid};
use crate::keywords::{buffer_direction, no_open_buffer};
use portcullis_plugin_abi::{application, buffer_kind};
use portcullis_types::RuleId;

/// Makes the rule, or says what does not go together.
pub(crate) fn finish(mut draft: Draft<'_, '_>, place: Place) -> Outcome<Rule> {
    no_open_buffer(&draft)?;
    if draft.sid == 0 {
        return Err(invalid("it has no sid", "add sid:NUMBER, unique in all rules").of("sid"));
    }
    if draft.header.action == RuleAction::Config
        && !draft.effects.iter().any(|e| matches!(e, crate::ast::Effect::Configure(_)))
    {
        let remedy = "add config:logging disable, type tx, scope tx";
        return Err(invalid("a config rule without the keyword config", remedy).of("config"));
    }
    draft.lists.retain(|list| !list.steps.is_empty());
    settle_direction(&mut draft)?;
    settle_data(&mut draft)?;
    check_files(&draft)?;
    for list in &draft.lists {
        check_sizes(list)?;
    }
    check_dsize(&draft)?;
    let fast_pattern = fast_pattern(&draft)?;
    let priority = draft.priority.or_else(|| {
        let classtype = draft.about.classtype.as_deref()?;
        draft.shared.classifications.named(classtype).map(|c| c.priority)
    });
    draft.about.priority = priority.unwrap_or(3);
    let buffers = draft.lists.into_iter().map(|list| BufferTests {
        kind: list.kind,
        transforms: list.transforms,
        tests: list.steps.into_iter().map(|step| step.test).collect(),
    });
    Ok(Rule {
        place,
        id: RuleId { gid: draft.gid, sid: draft.sid, rev: draft.rev },
        header: draft.header,
        flow: draft.flow,
        conditions: draft.conditions,
        buffers: buffers.collect(),
        effects: draft.effects,
        threshold: draft.threshold,
        detection_filter: draft.detection_filter,
        rate_filters: Vec::new(),
        suppressions: Vec::new(),
        variables: draft.variables,
        fast_pattern,
        alerting: draft.alerting,
        about: draft.about,
        keywords: draft.keywords,
    })
}

/// Buffers of one direction decide the rule's direction, and must agree with its flow.
fn settle_direction(draft: &mut Draft<'_, '_>) -> Outcome {
    for list in &draft.lists {
        let Some(direction) = buffer_direction(list.kind) else { continue };
        let name = buffer_kind::name(list.kind).unwrap_or("buffer");
        match draft.flow.direction {
            None => draft.flow.direction = Some(direction),
            Some(known) if known == direction => {}
            Some(_) => {
                return Err(invalid(
                    format!("{name} is of the other direction than the rule's flow or buffers"),
                    "write a rule for each direction, with a flowbit between them",
                )
                .of(name));
            }
        }
    }
    Ok(())
}

/// `only_stream` and `no_stream` say where contents look.
fn settle_data(draft: &mut Draft<'_, '_>) -> Outcome {
    let data = &mut draft.header.protocol.data;
    let wanted = match draft.flow.stream {
        FlowPart::Any => return Ok(()),
        FlowPart::Only => DataWanted::Stream,
        FlowPart::Not => DataWanted::Packet,
    };
    match *data {
        DataWanted::Either => *data = wanted,
        known if known == wanted => {}
        _ => {
            let reason = "only_stream or no_stream contradicts the rule's protocol";
            return Err(invalid(reason, "take one of the two out").of("flow"));
        }
    }
    Ok(())
}

/// Files are of applications that carry files.
fn check_files(draft: &Draft<'_, '_>) -> Outcome {
    let carries = |number: u16| {
        [application::HTTP, application::SMTP, application::FTP, application::SMB].contains(&number)
    };
    let Some(known) = draft.header.protocol.application.filter(|n| !carries(*n)) else {
        return Ok(());
    };
    let is_file = |kind: u16| (buffer_kind::FILE_DATA..=buffer_kind::FILE_SHA256).contains(&kind);
    let list = draft.lists.iter().any(|list| is_file(list.kind));
    let condition = draft.conditions.iter().any(|c| match c {
        Condition::FileHash(_) => true,
        Condition::Number { kind, .. } => *kind == buffer_kind::FILE_SIZE,
        _ => false,
    });
    if list || condition {
        let name = application::name(known).unwrap_or("?");
        let remedy = "write http, smtp, ftp or smb as the protocol";
        return Err(invalid(format!("{name} carries no files"), remedy).of("file"));
    }
    Ok(())
}

/// The bytes that a list's contents need at least, from the start of the buffer.
fn needed(list: &List) -> u64 {
    let need = list.steps.iter().filter_map(|step| match &step.test {
        BufferTest::Content(c) if c.polarity == Polarity::Plain => {
            let offset = match c.offset {
                Some(Operand::Number(n)) => u64::try_from(n).unwrap_or(0),
                _ => 0,
            };
            u64::try_from(c.bytes.len()).ok().map(|length| length.saturating_add(offset))
        }
        _ => None,
    });
    need.max().unwrap_or(0)
}

fn never_matches(keyword: &str, test: &NumberTest, need: u64) -> Outcome {
    if test.polarity == Polarity::Plain && test.high < need {
        return Err(invalid(
            format!(
                "it can never match: a content needs {need} bytes, {keyword} allows {}",
                test.high
            ),
            format!("write {keyword}:>{} or shorten the content", need.saturating_sub(1)),
        )
        .of(keyword));
    }
    Ok(())
}

fn check_sizes(list: &List) -> Outcome {
    let need = needed(list);
    for step in &list.steps {
        if let BufferTest::Size(size) = &step.test {
            never_matches("bsize", &size.size, need)?;
        }
    }
    Ok(())
}

fn check_dsize(draft: &Draft<'_, '_>) -> Outcome {
    let dsize = draft.conditions.iter().find_map(|c| match c {
        Condition::Dsize(test) => Some(test),
        _ => None,
    });
    let payload = draft.lists.iter().find(|list| list.kind == buffer_kind::PAYLOAD);
    if dsize.is_some() && draft.header.protocol.data == DataWanted::Stream {
        let remedy = "take dsize out, or write tcp-pkt";
        return Err(invalid("dsize is of packets, the rule of streams", remedy).of("dsize"));
    }
    match (dsize, payload) {
        (Some(test), Some(list)) => never_matches("dsize", test, needed(list)),
        _ => Ok(()),
    }
}

fn fast_pattern(draft: &Draft<'_, '_>) -> Outcome<Option<FastPattern>> {
    let Some((serial, part)) = draft.fast_pattern else { return Ok(None) };
    for (buffer, list) in draft.lists.iter().enumerate() {
        let found = list.steps.iter().enumerate().find(|(_, step)| step.serial == serial);
        let Some((test, step)) = found else { continue };
        if let BufferTest::Content(content) = &step.test {
            let placed = content.is_relative() || content.offset.is_some();
            if content.polarity == Polarity::Negated && (placed || content.depth.is_some()) {
                let remedy = "put fast_pattern on a content without `!`";
                let reason = "fast_pattern on a negated content with a position";
                return Err(invalid(reason, remedy).of("fast_pattern"));
            }
        }
        return Ok(Some(FastPattern { buffer, test, part }));
    }
    Ok(None)
}
