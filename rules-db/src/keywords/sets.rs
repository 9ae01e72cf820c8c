//! `dataset`, `datarep` and `iprep`: values that are kept outside of rules.

use super::{Keyword, Value, bare, validate_bit_name};
use crate::ast::{
    Anchor, BufferTest, Condition, DatarepUse, Dataset, DatasetOperation, DatasetType, DatasetUse,
    IpReputation, NumberTest, ReputationSide, ReputationTest,
};
use crate::draft::Draft;
use crate::fault::{Outcome, invalid, shown};
use crate::numbers::{comparison, sized, unsigned};
use crate::shared::dataset_values;

pub(super) const ROWS: &[Keyword] =
    &[bare("dataset", dataset), bare("datarep", datarep), bare("iprep", iprep)];

/// Bytes of a set's name.
const NAME_MAX: usize = 63;

#[derive(Default)]
struct SetWords {
    values_are: Option<DatasetType>,
    load: Option<String>,
    save: Option<String>,
    memory_max: u64,
    rows: u32,
}

fn set_words(parts: &[&[u8]]) -> Outcome<SetWords> {
    let mut words = SetWords::default();
    for part in parts {
        let end = part.iter().position(u8::is_ascii_whitespace).unwrap_or(part.len());
        let (word, argument) = part.split_at(end);
        let argument = argument.trim_ascii();
        let text = || String::from_utf8_lossy(argument).into_owned();
        let fault = || {
            invalid(
                format!("`{}` is not understood here", shown(part)),
                "write type string (md5, sha256, ipv4, ip), load FILE, save FILE, state FILE, \
                 memcap SIZE or hashsize NUMBER",
            )
        };
        match word {
            b"type" => {
                words.values_are = Some(match argument {
                    b"string" => DatasetType::String,
                    b"md5" => DatasetType::Md5,
                    b"sha256" => DatasetType::Sha256,
                    b"ipv4" => DatasetType::Ipv4,
                    b"ip" | b"ipv6" => DatasetType::Ip,
                    _ => return Err(fault()),
                });
            }
            b"load" if !argument.is_empty() => words.load = Some(text()),
            b"save" if !argument.is_empty() => words.save = Some(text()),
            b"state" if !argument.is_empty() => {
                words.load = Some(text());
                words.save = Some(text());
            }
            b"memcap" => words.memory_max = sized(argument).ok_or_else(fault)?,
            b"hashsize" => {
                let n = unsigned(argument).and_then(|n| u32::try_from(n).ok());
                words.rows = n.ok_or_else(fault)?;
            }
            _ => return Err(fault()),
        }
    }
    Ok(words)
}

fn set_name(name: &[u8]) -> Outcome<String> {
    let name = validate_bit_name(name)?;
    if name.len() > NAME_MAX {
        let remedy = format!("use at most {NAME_MAX} bytes");
        return Err(invalid("the set's name is too long", remedy));
    }
    Ok(name)
}

fn needs_sticky(draft: &Draft<'_, '_>, keyword: &str) -> Outcome {
    if draft.is_sticky() {
        return Ok(());
    }
    let remedy = format!("put a sticky buffer such as http.host before {keyword}");
    Err(invalid(format!("{keyword} stands where no sticky buffer is set"), remedy))
}

fn shared_set(
    draft: &mut Draft<'_, '_>,
    name: String,
    words: SetWords,
    reputations: Anchor,
) -> Outcome<usize> {
    let known = draft.shared.datasets.iter().find(|set| set.name == name);
    let values_are = words.values_are.or(known.map(|set| set.values_are)).ok_or_else(|| {
        invalid(format!("the set `{name}` has no type"), "write type string, md5, sha256 or ip")
    })?;
    let fresh = known.is_none_or(|set| set.file.is_none());
    let (mut values, mut scores) = (Vec::new(), Vec::new());
    if let Some(file) = words.load.as_deref().filter(|_| fresh) {
        // A state file may not be there yet.
        match draft.shared.data_file(file) {
            Ok(bytes) => {
                (values, scores) = dataset_values(file, &bytes, values_are, reputations)?;
            }
            Err(fault) if words.save.is_none() => return Err(fault),
            Err(_) => {}
        }
    }
    let set = Dataset {
        name,
        values_are,
        values,
        reputations: scores,
        file: words.load,
        save: words.save,
        memory_max: words.memory_max,
        rows: words.rows,
    };
    draft.shared.dataset(set, words.values_are.is_some())
}

fn dataset(draft: &mut Draft<'_, '_>, value: &Value<'_>) -> Outcome {
    needs_sticky(draft, "dataset")?;
    let parts: Vec<&[u8]> = value.text.split(|&b| b == b',').map(<[u8]>::trim_ascii).collect();
    let [operation, name, rest @ ..] = parts.as_slice() else {
        let remedy = "write dataset:isset,NAME,type string,load FILE";
        return Err(invalid("an operation and a name are wanted", remedy));
    };
    let operation = match *operation {
        b"isset" => DatasetOperation::IsSet,
        b"isnotset" => DatasetOperation::IsNotSet,
        b"set" => DatasetOperation::Set,
        b"unset" => DatasetOperation::Unset,
        other => {
            let reason = format!("`{}` is not an operation", shown(other));
            return Err(invalid(reason, "write isset, isnotset, set or unset"));
        }
    };
    let words = set_words(rest)?;
    let set = shared_set(draft, set_name(name)?, words, Anchor::No)?;
    draft.push(BufferTest::Dataset(DatasetUse { set, operation }));
    Ok(())
}

fn datarep(draft: &mut Draft<'_, '_>, value: &Value<'_>) -> Outcome {
    needs_sticky(draft, "datarep")?;
    let parts: Vec<&[u8]> = value.text.split(|&b| b == b',').map(<[u8]>::trim_ascii).collect();
    let [name, operator, number, rest @ ..] = parts.as_slice() else {
        let remedy = "write datarep:NAME,>,100,type string,load FILE";
        return Err(invalid("a name, an operator and a number are wanted", remedy));
    };
    if !matches!(*operator, b"<" | b">" | b"=" | b"==") {
        let reason = format!("`{}` is not an operator", shown(operator));
        return Err(invalid(reason, "write <, > or =="));
    }
    let operator = operator.strip_prefix(b"=").map_or(*operator, |_| b"");
    let reputation = comparison(&[operator, *number].concat(), 65_535)?;
    let words = set_words(rest)?;
    let set = shared_set(draft, set_name(name)?, words, Anchor::Yes)?;
    draft.push(BufferTest::Datarep(DatarepUse { set, reputation }));
    Ok(())
}

fn iprep(draft: &mut Draft<'_, '_>, value: &Value<'_>) -> Outcome {
    /// The largest score of a reputation.
    const SCORE_MAX: u64 = 127;
    let parts: Vec<&[u8]> = value.text.split(|&b| b == b',').map(<[u8]>::trim_ascii).collect();
    let (side, category, test) = match parts.as_slice() {
        [side, category, b"isset"] => (*side, *category, ReputationTest::IsSet),
        [side, category, b"isnotset"] => (*side, *category, ReputationTest::IsNotSet),
        [side, category, operator @ (b"<" | b">" | b"=" | b"<=" | b">="), score] => {
            let score: NumberTest = comparison(&[*operator, *score].concat(), SCORE_MAX)?;
            (*side, *category, ReputationTest::Score(score))
        }
        _ => {
            return Err(invalid(
                format!("`{}` is not understood", value.shown()),
                "write iprep:src,CATEGORY,>,30 or iprep:dst,CATEGORY,isset",
            ));
        }
    };
    let side = match side {
        b"any" => ReputationSide::Any,
        b"src" => ReputationSide::Source,
        b"dst" => ReputationSide::Destination,
        b"both" => ReputationSide::Both,
        other => {
            let reason = format!("`{}` is not a side", shown(other));
            return Err(invalid(reason, "write any, src, dst or both"));
        }
    };
    let category = String::from_utf8_lossy(category).into_owned();
    if !draft.shared.reputations.categories.contains_key(&category) {
        return Err(invalid(
            format!("the category `{category}` is not known"),
            "name it in the file of [rules] reputation_categories: NUMBER,SHORT NAME,DESCRIPTION",
        ));
    }
    draft.conditions.push(Condition::IpReputation(IpReputation { side, category, score: test }));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::ast::{BufferTest, DatasetOperation};
    use crate::{Reading, Reputations, RuleSet, Vars};

    fn read(options: &str) -> RuleSet {
        let vars = Vars::default();
        let files = |_: &str, name: &str| match name {
            "a.lst" => Ok(b"YWJj\n".to_vec()),
            "rep.csv" => Ok(b"YWJj,50\n".to_vec()),
            _ => Err("not there".to_owned()),
        };
        let mut reputations = Reputations::default();
        reputations.categories.insert("BadHosts".to_owned(), 1);
        let text = format!("alert http any any -> any any ({options} sid:1;)");
        let reading = Reading::new(&vars).data_files(&files).reputations(reputations);
        reading.texts(&[("t.rules", text.as_bytes())])
    }

    #[test]
    fn sets_are_shared_and_filled() {
        let set = read("http.host; dataset:isnotset,x,type string,load a.lst,memcap 1mb;");
        assert_eq!(set.datasets[0].values, [b"abc".to_vec()]);
        assert_eq!(set.datasets[0].memory_max, 1 << 20);
        let BufferTest::Dataset(used) = &set.rules[0].buffers[0].tests[0] else { panic!() };
        assert_eq!((used.set, used.operation), (0, DatasetOperation::IsNotSet));
        assert_eq!(read("http.host; dataset:set,x,type string,state new.lst;").rules.len(), 1);
        let set = read("http.host; datarep:x,>,40,type string,load rep.csv;");
        assert_eq!((set.rules.len(), set.datasets[0].reputations.as_slice()), (1, &[50][..]));
        assert_eq!(read("iprep:src,BadHosts,>,30;").rules.len(), 1);
    }

    #[test]
    fn bad_ones_are_refused() {
        for bad in [
            "dataset:isset,x,type string;",
            "http.host; dataset:isset,x;",
            "http.host; dataset:isset,x,type float;",
            "http.host; dataset:isset,x,type string,load missing.lst;",
            "http.host; dataset:isset,x,type md5,load a.lst;",
            "http.host; dataset:some,x,type string;",
            "http.host; datarep:x,>,40,type string,load a.lst;",
            "iprep:src,Nobody,>,30;",
            "iprep:src,BadHosts,>,200;",
            "iprep:me,BadHosts,>,20;",
        ] {
            assert_eq!(read(bad).refused.len(), 1, "{bad}");
        }
    }
}
