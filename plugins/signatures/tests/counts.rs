//! Rules that count, and sets that they ask and fill, without a sandbox.

#[allow(dead_code, reason = "each file of tests needs a part of it")]
mod street;

use portcullis_plugin_sdk::buffer_kind;
use portcullis_rules_form::{Field, action};
use signatures::world::Way;
use street::{Event, SECOND, Street, get, packet, told, v4};

#[test]
fn thresholds_limit_what_is_told() {
    let uri = r#"http.uri; content:"/x""#;
    let rules = format!(
        r#"
        alert http any any -> any any ({uri}; \
            threshold:type limit,track by_src,count 2,seconds 60; sid:1;)
        alert http any any -> any any ({uri}; \
            threshold:type threshold,track by_src,count 2,seconds 60; sid:2;)
        alert http any any -> any any ({uri}; \
            threshold:type both,track by_dst,count 3,seconds 60; sid:3;)
        alert http any any -> any any ({uri}; \
            detection_filter:track by_src,count 3,seconds 60; sid:4;)
        "#
    );
    let mut events: Vec<Event> = (1..=5).map(|n| get("/x", n)).collect();
    events.push(get("/x", 6).change(|f| f.at += 61 * SECOND));
    let expected: [&[u32]; 6] = [&[1], &[1, 2], &[3], &[2, 4], &[4], &[1]];
    assert_eq!(told(&rules, &events), expected);
}

#[test]
fn lines_of_a_threshold_file_silence_and_change_rules() {
    let uri = r#"http.uri; content:"/x""#;
    let rules: String =
        (1..=5).map(|sid| format!("alert http any any -> any any ({uri}; sid:{sid};)\n")).collect();
    let lines = "suppress gen_id 1, sig_id 1\n\
        suppress gen_id 1, sig_id 2, track by_src, ip 192.168.0.0/24\n\
        suppress gen_id 1, sig_id 3, track by_dst, ip 192.168.0.0/24\n\
        rate_filter gen_id 1, sig_id 4, track by_src, count 2, seconds 60, new_action drop, \
            timeout 30\n\
        rate_filter gen_id 1, sig_id 5, track by_rule, count 1, seconds 10, new_action pass, \
            timeout 0\n";
    let mut street = Street::with_thresholds(&rules, lines);
    let mut evaluator = street.evaluator(&[]);
    let mut verbs = |event: Event| -> Vec<(u32, u8)> {
        street.judge(&mut evaluator, &event).iter().map(|f| (f.sid, f.verb)).collect()
    };
    let (alert, drop) = (action::ALERT, action::DROP);
    let at = |transaction, second: u64| get("/x", transaction).change(|f| f.at += second * SECOND);
    assert_eq!(verbs(at(1, 0)), [(3, alert), (4, alert), (5, alert)]);
    let other = |f: &mut signatures::world::Facts| f.client = v4(10, 0, 0, 1);
    // Another source is not silenced, is counted by itself, and is the same rule's match.
    let found = verbs(at(2, 1).change(other));
    assert_eq!(found, [(2, alert), (3, alert), (4, alert), (5, action::PASS)]);
    // Whoever passed is passed: another flow goes on.
    let next = |transaction, second| at(transaction, second).change(|f| f.flow = 2);
    assert_eq!(verbs(next(1, 2))[..2], [(3, alert), (4, alert)]);
    let later = |second| at(1, second).change(move |f| f.flow = 1000 + second);
    let of_four = |found: Vec<(u32, u8)>| found.into_iter().find(|f| f.0 == 4).map(|f| f.1);
    assert_eq!(of_four(verbs(later(3))), Some(drop), "the third within a minute");
    assert_eq!(of_four(verbs(later(30))), Some(drop), "for half a minute");
    assert_eq!(of_four(verbs(later(300))), Some(alert), "no longer");
}

#[test]
fn sizes_of_streams_count_for_either_side() {
    let asks = |test: &str| {
        let rules = format!("alert tcp any any -> any any (stream_size:{test}; sid:1;)");
        let event = packet(Way::ToServer, b"x").change(|f| {
            f.numbers.extend([(Field::StreamToServer, 10), (Field::StreamToClient, 500)]);
        });
        told(&rules, &[event]) == [vec![1]]
    };
    for (test, holds) in [
        ("client,<,11", true),
        ("client,>,10", false),
        ("server,=,500", true),
        ("server,<,500", false),
        ("both,>,9", true),
        ("both,>,10", false),
        ("either,>,499", true),
        ("either,>,500", false),
    ] {
        assert_eq!(asks(test), holds, "{test}");
    }
    let unknown = packet(Way::ToServer, b"x");
    let rule = "alert tcp any any -> any any (stream_size:either,>=,0; sid:1;)";
    assert_eq!(told(rule, &[unknown]), [Vec::<u32>::new()], "what is not known does not hold");
}

#[test]
fn data_sets_lose_members_and_have_reputations() {
    let uri = "alert http any any -> any any (http.uri;";
    let rules = format!(
        "{uri} dataset:isnotset,seen,type string; sid:1;)\n\
         {uri} dataset:isset,seen,type string; sid:2;)\n\
         {uri} content:\"add\"; dataset:set,seen,type string; sid:3;)\n\
         {uri} content:\"take\"; dataset:unset,seen,type string; sid:4;)\n"
    );
    // In the order of the rules: who asks first does not see what another adds behind it.
    let events = [get("/add-take", 1), get("/add", 2), get("/add", 3), get("/none", 4)];
    let wanted = [vec![1, 3, 4], vec![1, 3], vec![2], vec![1]];
    assert_eq!(told(&rules, &events), wanted);
}

#[test]
fn reputations_of_data_are_compared() {
    let uri = "alert http any any -> any any (http.uri;";
    let rules = format!(
        "{uri} datarep:known,>,50,type string,load scores.list; sid:1;)\n\
         {uri} datarep:known,<,50; sid:2;)\n"
    );
    let events = [get("/bad", 1), get("/good", 2), get("/none", 3)];
    assert_eq!(told(&rules, &events), [vec![1], vec![2], vec![]]);
}

#[test]
fn data_sets_are_asked_and_filled() {
    let rules = r#"
        alert http any any -> any any (http.uri; dataset:set,seen,type string; sid:1;)
        alert http any any -> any any (http.host; content:"a"; http.uri; \
            dataset:isset,seen,type string; sid:2;)
    "#;
    let on = |uri: &str, n| get(uri, n).with(buffer_kind::HTTP_HOST, "a");
    assert_eq!(
        told(rules, &[on("/1", 1), on("/1", 2), on("/2", 3)]),
        [vec![1, 2], vec![2], vec![1, 2]]
    );
}
