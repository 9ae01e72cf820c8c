//! Each keyword through the whole chain: text, parser, compiler, compiled form, evaluator.

#[allow(dead_code, reason = "each file of tests needs a part of it")]
mod street;

use portcullis_plugin_sdk::{application, buffer_kind as kind};
use portcullis_rules_form::action;
use proptest::prelude::*;
use signatures::world::{Occasion, Way};
use street::{Event, SECOND, Street, get, packet, stream, told, transaction};

/// Whether a rule of TCP with these options matches these bytes, as a packet or as a stream.
fn payload(options: &str, bytes: &[u8]) -> bool {
    let rule = format!(r#"alert tcp any any -> any any (msg:"case"; {options} sid:1;)"#);
    let mut street = Street::new(&rule);
    let mut evaluator = street.evaluator(&[]);
    let of_packet = street.judge(&mut evaluator, &packet(Way::ToServer, bytes));
    let of_stream = street.judge(&mut evaluator, &stream(Way::ToServer, bytes));
    assert!(of_packet.len() + of_stream.len() < 2, "told twice: {options}");
    !of_packet.is_empty() || !of_stream.is_empty()
}

/// Options, bytes, whether the rule matches.
const PAYLOADS: &[(&str, &[u8], bool)] = &[
    (r#"content:"abc";"#, b"xxabcxx", true),
    (r#"content:"abc";"#, b"xxABCxx", false),
    (r#"content:"abc"; nocase;"#, b"xxABCxx", true),
    (r#"content:"a|00 ff|c";"#, b"a\x00\xffc", true),
    (r#"content:"abc"; content:!"def";"#, b"abc", true),
    (r#"content:"abc"; content:!"def";"#, b"abc def", false),
    (r#"content:"abc"; offset:2;"#, b"xxabc", true),
    (r#"content:"abc"; offset:3;"#, b"xxabc", false),
    (r#"content:"abc"; depth:3;"#, b"abcxx", true),
    (r#"content:"abc"; depth:3;"#, b"xabc", false),
    (r#"content:"abc"; offset:1; depth:3;"#, b"xabc", true),
    (r#"content:"abc"; offset:1; depth:3;"#, b"xxabc", false),
    (r#"content:"abc"; startswith;"#, b"abcx", true),
    (r#"content:"abc"; startswith;"#, b"xabc", false),
    (r#"content:"abc"; endswith; isdataat:2;"#, b"xabc", true),
    (r#"content:"abc"; content:"def"; distance:0;"#, b"abcdef", true),
    (r#"content:"abc"; content:"def"; distance:1;"#, b"abcdef", false),
    (r#"content:"abc"; content:"def"; distance:-6;"#, b"defabc", true),
    (r#"content:"abc"; content:"def"; within:3;"#, b"abcdef", true),
    (r#"content:"abc"; content:"def"; within:3;"#, b"abcxdef", false),
    (r#"content:"abc"; content:"def"; distance:2; within:3;"#, b"abcxxdef", true),
    (r#"content:"abc"; content:"def"; distance:2; within:3;"#, b"abcxxxdef", false),
    // Going back: the first place of a content does not lead on, a later one does.
    (r#"content:"ab"; content:"cd"; within:2;"#, b"abxxabcd", true),
    (r#"content:"ab"; content:"cd"; within:2; content:"ef"; within:2;"#, b"abcdxabcdef", true),
    (r#"content:"ab"; content:"cd"; within:2; content:"ef"; within:2;"#, b"abcdxabcd", false),
    (r#"content:"abc"; content:!"def"; within:3;"#, b"abcdef", false),
    (r#"content:"abc"; content:!"def"; within:3;"#, b"abcdefabcxxx", true),
    (r#"content:"abc"; content:!"def"; distance:0;"#, b"defabc", true),
    (r#"content:"ab"; byte_test:1,=,5,0,relative;"#, b"ab\x01ab\x05", true),
    (r#"content:"ab"; isdataat:2,relative;"#, b"abxx", true),
    (r#"content:"ab"; isdataat:2,relative;"#, b"abx", false),
    (r#"content:"ab"; isdataat:!1,relative;"#, b"abxab", true),
    (r#"content:"ab"; isdataat:!1,relative;"#, b"abx", false),
    (r#"content:"ab"; isdataat:4;"#, b"abxxx", true),
    (r#"content:"ab"; isdataat:4;"#, b"abxx", false),
    (r#"content:"ab"; isdataat:!4;"#, b"abxx", true),
    (r#"content:"ab"; pcre:"/x\d+y/";"#, b"ab x12y", true),
    (r#"content:"ab"; pcre:"/x\d+y/";"#, b"ab xy", false),
    (r#"content:"ab"; pcre:"/X\d+Y/i";"#, b"ab x1y", true),
    (r#"content:"ab"; pcre:!"/x\d/";"#, b"ab y1", true),
    (r#"content:"ab"; pcre:!"/x\d/";"#, b"ab x1", false),
    (r#"content:"ab"; pcre:"/^\d\d/R";"#, b"ab12", true),
    (r#"content:"ab"; pcre:"/^\d\d/R";"#, b"abx12", false),
    (r#"content:"ab"; pcre:"/^\d\d/R";"#, b"abxab12", true),
    (r#"content:"q"; pcre:"/a\d/"; content:"zz"; within:2;"#, b"qa1xa2zz", true),
    (r#"content:"ab"; byte_test:2,>,1000,2;"#, b"ab\x04\x00", true),
    (r#"content:"ab"; byte_test:2,>,1000,2;"#, b"ab\x00\x04", false),
    (r#"content:"ab"; byte_test:2,=,4,2,little;"#, b"ab\x04\x00", true),
    (r#"content:"ab"; byte_test:2,!=,4,2,little;"#, b"ab\x04\x00", false),
    (r#"content:"ab"; byte_test:1,&,0x40,0,relative;"#, b"ab\x41", true),
    (r#"content:"ab"; byte_test:1,!&,0x40,0,relative;"#, b"ab\x41", false),
    (r#"content:"ab"; byte_test:3,<,200,0,relative,string,dec;"#, b"ab123", true),
    (r#"content:"ab"; byte_test:4,=,0x1f,0,relative,string,hex;"#, b"ab001f", true),
    (r#"content:"ab"; byte_test:1,=,3,0,relative,bitmask 0xf0;"#, b"ab\x35", true),
    (r#"content:"ab"; byte_jump:1,0,relative; content:"cd"; within:2;"#, b"ab\x02xxcd", true),
    (r#"content:"ab"; byte_jump:1,0,relative; content:"cd"; within:2;"#, b"ab\x03xxcd", false),
    (
        r#"content:"ab"; byte_jump:1,0,relative,multiplier 2,post_offset -1; content:"cd"; \
            within:2;"#,
        b"ab\x02xxxcd",
        true,
    ),
    (r#"content:"ab"; byte_jump:1,2,from_beginning; content:"cd"; within:2;"#, b"ab\x04xcd", true),
    (r#"content:"ab"; byte_jump:1,2,align; content:"cd"; within:2;"#, b"ab\x01xxxxcd", true),
    (
        r#"content:"ab"; byte_extract:1,0,n,relative; content:"cd"; distance:n; within:2;"#,
        b"ab\x02xxcd",
        true,
    ),
    (
        r#"content:"ab"; byte_extract:1,0,n,relative; content:"cd"; distance:n; within:2;"#,
        b"ab\x03xxcd",
        false,
    ),
    (r#"content:"ab"; byte_extract:1,2,n; byte_test:1,=,n,3;"#, b"ab\x07\x07", true),
    (r#"content:"ab"; byte_extract:1,2,n; isdataat:n;"#, b"ab\x03x", true),
    (r#"content:"ab"; byte_extract:1,2,n; isdataat:n;"#, b"ab\x09x", false),
    (
        r#"content:"ab"; byte_math:bytes 1, offset 2, oper +, rvalue 2, result r; \
            byte_test:1,=,r,3;"#,
        b"ab\x05\x07",
        true,
    ),
    (r#"content:"ab"; base64_decode:offset 2; base64_data; content:"hello";"#, b"abaGVsbG8=", true),
    (
        r#"content:"ab"; base64_decode:offset 2; base64_data; content:"jello";"#,
        b"abaGVsbG8=",
        false,
    ),
    (r#"dsize:3;"#, b"abc", true),
    (r#"dsize:>3;"#, b"abc", false),
    (r#"content:"abc"; dsize:<9;"#, b"xabc", true),
    (r#"content:"abc"; ttl:64;"#, b"abc", true),
    (r#"content:"abc"; ttl:<64;"#, b"abc", false),
    (r#"content:"abc"; flags:PA;"#, b"abc", true),
    (r#"content:"abc"; flags:S;"#, b"abc", false),
    (r#"content:"abc"; flags:A+;"#, b"abc", true),
    (r#"content:"abc"; flags:*SF;"#, b"abc", false),
    (r#"content:"abc"; flags:!SF;"#, b"abc", true),
    (r#"content:"abc"; flow:established,to_server;"#, b"abc", true),
    (r#"content:"abc"; flow:to_client;"#, b"abc", false),
    (r#"content:"abc"; flow:not_established;"#, b"abc", false),
    (r#"content:"abc"; flow:only_stream;"#, b"abc", true),
    (r#"content:"abc"; flow:no_stream;"#, b"abc", true),
    (r#"content:"x"; asn1:oversize_length 3, relative_offset 0;"#, b"x\x04\x04aaaa", true),
    (r#"content:"x"; asn1:oversize_length 4, relative_offset 0;"#, b"x\x04\x04aaaa", false),
];

#[test]
fn payload_keywords() {
    let wrong: Vec<_> = PAYLOADS
        .iter()
        .filter(|(options, bytes, expected)| payload(options, bytes) != *expected)
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn request() -> Event {
    transaction(application::HTTP, Way::ToServer)
        .with(kind::HTTP_METHOD, "POST")
        .with(kind::HTTP_URI, "/a/b.php?id=1")
        .with(kind::HTTP_URI_RAW, "/a/b.php?id=1")
        .with(kind::HTTP_HOST, "www.evil.example")
        .with(kind::HTTP_USER_AGENT, "Mozilla  5")
        .with(kind::HTTP_HEADER, "Host: www.evil.example\r\nX-Up: Yes\r\n")
        .with(kind::HTTP_REQUEST_BODY, "cmd=ls&x=%41")
}

/// Options of a rule on HTTP, whether it matches [`request`].
const REQUESTS: &[(&str, bool)] = &[
    (r#"http.uri; content:"/b.php";"#, true),
    (r#"http.uri; content:"/c.php";"#, false),
    (r#"content:"/b.php"; http_uri;"#, true),
    (r#"http.method; content:"POST"; http.uri; content:"id=";"#, true),
    (r#"http.method; content:"GET"; http.uri; content:"id=";"#, false),
    (r#"http.uri; bsize:13;"#, true),
    (r#"http.uri; bsize:>13;"#, false),
    (r#"http.uri; content:"/a"; urilen:<20;"#, true),
    (r#"http.uri; content:"/a"; urilen:5;"#, false),
    (r#"http.uri; content:"id=1"; endswith;"#, true),
    (r#"http.uri; content:"id="; endswith;"#, false),
    (r#"http.host; dotprefix; content:".evil.example"; endswith;"#, true),
    (r#"http.host; dotprefix; content:".vil.example"; endswith;"#, false),
    (r#"http.user_agent; strip_whitespace; content:"Mozilla5";"#, true),
    (r#"http.user_agent; compress_whitespace; content:"Mozilla 5";"#, true),
    (r#"http.header; to_lowercase; content:"x-up: yes";"#, true),
    (r#"http.header; header_lowercase; content:"x-up: Yes";"#, true),
    (r#"http.request_body; url_decode; content:"x=A";"#, true),
    (r#"http.method; to_md5; content:"|42 b0 0a 1d|";"#, false),
    (r#"http.header; content:!"Referer";  http.uri; content:"/a";"#, true),
    (r#"http.header; content:!"Host";  http.uri; content:"/a";"#, false),
    (r#"http.cookie; content:!"a"; http.uri; content:"/a";"#, false),
    (r#"http.uri; pcre:"/^\/a\/\w\.php\?/";"#, true),
    (r#"content:"/a"; http_uri; pcre:"/cmd=[a-z]+/P";"#, true),
    (r#"http.uri; content:"/a"; http.request_body; content:"cmd="; depth:4;"#, true),
    (
        r#"http.uri; content:"/a"; content:"/b"; distance:0; within:2; http.method; content:"P";"#,
        true,
    ),
    (r#"flow:to_client; http.header; content:"Host";"#, false),
];

#[test]
fn http_keywords() {
    let matches = |options: &str| {
        let rule = format!(r#"alert http any any -> any any (msg:"case"; {options} sid:1;)"#);
        let mut street = Street::new(&rule);
        let mut evaluator = street.evaluator(&[]);
        let found = street.judge(&mut evaluator, &request());
        let again = street.judge(&mut evaluator, &request());
        assert!(again.is_empty(), "told twice of one transaction: {options}");
        !found.is_empty()
    };
    let wrong: Vec<_> = REQUESTS.iter().filter(|(o, e)| matches(o) != *e).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn headers_choose_by_address_port_and_direction() {
    let rules = r#"
        alert tcp $HOME_NET any -> $EXTERNAL_NET 80 (content:"abc"; sid:1;)
        alert tcp $EXTERNAL_NET any -> $HOME_NET any (content:"abc"; sid:2;)
        alert tcp any any -> any ![80,443] (content:"abc"; sid:3;)
        alert tcp $EXTERNAL_NET 80 <> $HOME_NET any (content:"abc"; sid:4;)
        alert udp any any -> any any (content:"abc"; sid:5;)
        alert ip any any -> 203.0.113.0/24 any (content:"abc"; sid:6;)
        alert tcp any any -> any 1024: (content:"abc"; sid:7;)
        alert tcp any any -> [10.0.0.0/8,!10.1.0.0/16] any (content:"abc"; sid:8;)
    "#;
    let answer = stream(Way::ToClient, b"abc").change(|f| f.at += 1);
    let events = [stream(Way::ToServer, b"abc"), answer];
    assert_eq!(told(rules, &events), [vec![1, 4, 6], vec![2, 3, 4, 7]]);
}

#[test]
fn bits_are_set_before_they_are_asked_for() {
    let rules = r#"
        alert http any any -> any any (http.uri; content:"/two"; flowbits:isset,one; sid:1;)
        alert http any any -> any any (http.uri; content:"/one"; flowbits:set,one; \
            flowbits:noalert; sid:2;)
        alert http any any -> any any (http.uri; content:"/three"; flowbits:isnotset,one; sid:3;)
        alert http any any -> any any (http.uri; content:"/off"; flowbits:unset,one; sid:4;)
        alert http any any -> any any (http.uri; content:"/onetwo"; flowbits:isset,one|other; \
            sid:5;)
        alert http any any -> any any (http.uri; content:"/flip"; flowbits:toggle,one; sid:6;)
    "#;
    let events = [
        get("/two", 1),
        get("/one/two", 2),
        get("/three", 3),
        get("/off", 4),
        get("/three", 5),
        get("/flip", 6),
        get("/two", 7),
        get("/onetwo", 8),
    ];
    let expected: [&[u32]; 8] = [&[], &[1], &[], &[4], &[3], &[6], &[1], &[5]];
    assert_eq!(told(rules, &events), expected);
}

#[test]
fn other_bits_belong_to_addresses_and_end() {
    let rules = r#"
        alert http any any -> any any (http.uri; content:"/set"; \
            xbits:set,evil,track ip_src,expire 60; sid:1;)
        alert http any any -> any any (http.uri; content:"/ask"; \
            xbits:isset,evil,track ip_src; sid:2;)
    "#;
    let other = get("/ask", 1).change(|f| f.flow = 2);
    let later = |s: u64| get("/ask", 1).change(|f| (f.flow, f.at) = (s, f.at + s * SECOND));
    let stranger = get("/ask", 9).change(|f| f.client = street::v4(10, 9, 9, 9));
    let events = [get("/ask", 1), get("/set", 2), other, stranger, later(59), later(80)];
    let expected: [&[u32]; 6] = [&[], &[1], &[2], &[], &[2], &[]];
    assert_eq!(told(rules, &events), expected);
}

#[test]
fn integers_count() {
    let rules = r#"
        alert http any any -> any any (http.uri; content:"/a"; flowint:n,notset; \
            flowint:n,=,1; noalert; sid:1;)
        alert http any any -> any any (http.uri; content:"/b"; flowint:n,isset; \
            flowint:n,+,1; noalert; sid:2;)
        alert http any any -> any any (http.uri; content:"/c"; flowint:n,>=,3; sid:3;)
    "#;
    let events =
        [get("/c", 1), get("/a", 2), get("/b", 3), get("/c", 4), get("/b", 5), get("/c", 6)];
    let expected: [&[u32]; 6] = [&[], &[], &[], &[], &[], &[3]];
    assert_eq!(told(rules, &events), expected);
}

#[test]
fn pass_comes_first_and_ends_the_flow() {
    let rules = r#"
        alert http any any -> any any (http.uri; content:"/x"; sid:1;)
        pass http any any -> any any (http.uri; content:"/let-be"; sid:2;)
        drop http any any -> any any (http.uri; content:"/bad"; sid:3;)
    "#;
    let mut street = Street::new(rules);
    let mut evaluator = street.evaluator(&[]);
    let found = street.judge(&mut evaluator, &get("/bad/x", 1));
    let verbs: Vec<_> = found.iter().map(|f| (f.sid, f.verb)).collect();
    assert_eq!(verbs, [(3, action::DROP), (1, action::ALERT)]);
    let found = street.judge(&mut evaluator, &get("/let-be/x", 2));
    assert_eq!(found.iter().map(|f| (f.sid, f.verb)).collect::<Vec<_>>(), [(2, action::PASS)]);
    assert!(street.judge(&mut evaluator, &get("/x", 3)).is_empty(), "the flow was passed");
}

#[test]
fn a_stretch_of_a_stream_is_matched_once() {
    let rule = r#"
        alert tcp any any -> any any (content:"ab"; content:"cd"; distance:0; sid:1;)
        alert tcp any any -> any any (content:"ab"; isdataat:8,relative; sid:2;)
    "#;
    let at = |bytes: &[u8], offset: u64, packet: u64| {
        let event = Event::new(Occasion::Stream, Way::ToServer);
        event.piece(kind::STREAM, bytes, offset, false).change(|f| f.at += packet * SECOND)
    };
    let events = [
        at(b"ab cd", 0, 0),
        at(b"ab cd xx", 0, 1),
        at(b"ab cd xx cd", 0, 2),
        at(b"ab cd xx cd yy", 0, 3),
        at(b"ab cd xx cd yy ab cd", 0, 4),
        // What came before is out of the window.
        at(b"xx ab cd", 40, 5),
    ];
    // Another end of what was told is no other match; another beginning is.
    assert_eq!(told(rule, &events), [vec![1], vec![], vec![2], vec![], vec![1], vec![1]]);
}

#[test]
fn what_a_syn_carries_is_judged_each_time() {
    let rule = r#"drop tcp any any -> any any (content:"abc"; sid:1;)"#;
    let mut street = Street::new(rule);
    let mut evaluator = street.evaluator(&[]);
    for packet in 0..2 {
        let syn = Event::new(Occasion::Stream, Way::ToServer)
            .piece(kind::STREAM, b"abc", 0, true)
            .change(|f| f.at += packet * SECOND);
        let found = street.judge(&mut evaluator, &syn);
        assert_eq!(found.iter().map(|f| (f.sid, f.whole_flow)).collect::<Vec<_>>(), [(1, false)]);
    }
}

#[test]
fn what_asks_for_addresses_alone_is_tried_once_a_direction() {
    let rules = r#"
        alert tcp any any -> any any (sid:1;)
        alert tcp any any -> any 80 (sid:2;)
        pass tcp any any -> 203.0.113.9 any (content:"let-be"; alert; sid:3;)
    "#;
    let mut street = Street::new(rules);
    let mut evaluator = street.evaluator(&[]);
    let mut judge = |event: Event| -> Vec<(u32, u8, bool)> {
        let found = street.judge(&mut evaluator, &event);
        found.iter().map(|f| (f.sid, f.verb, f.whole_flow)).collect()
    };
    let start = Event::new(Occasion::FlowStart, Way::ToServer);
    assert_eq!(judge(start), [(1, action::ALERT, true)]);
    assert_eq!(judge(packet(Way::ToServer, b"x")), [(2, action::ALERT, true)]);
    let told = [(3, action::ALERT, true), (3, action::PASS, true)];
    assert_eq!(judge(stream(Way::ToServer, b"let-be")), told);
}

#[test]
fn a_rule_waits_for_more_of_its_transaction() {
    let rules = r#"
        alert http any any -> any any (http.uri; content:"/upload"; http.request_body; \
            content:!"ok"; pcre:"/ev.l/"; sid:1;)
    "#;
    let head = transaction(application::HTTP, Way::ToServer).with(kind::HTTP_URI, "/upload");
    // The matcher does not look again at what it has seen: the rule is tried since it waits.
    let body = |bytes: &[u8], done: bool| {
        transaction(application::HTTP, Way::ToServer).piece(kind::HTTP_REQUEST_BODY, bytes, 0, done)
    };
    let with_uri = |e: Event| e.with(kind::HTTP_URI, "/upload");
    let events = [head, with_uri(body(b"nothing", false)), with_uri(body(b"nothing evil", true))];
    assert_eq!(told(rules, &events), [vec![], vec![], vec![1]]);
}

#[test]
fn payload_beside_fields_matches_when_both_have_held() {
    let rules = r#"
        alert http any any -> any any (content:"raw-bytes"; http.uri; content:"/x"; sid:1;)
        alert http any any -> any any (content:!"raw-bytes"; http.uri; content:"/y"; sid:2;)
    "#;
    let raw = stream(Way::ToServer, b"some raw-bytes").change(|f| f.application = 1);
    let events = [raw.clone(), get("/x", 1), get("/y", 2)];
    assert_eq!(told(rules, &events), [vec![], vec![1], vec![2]]);
    assert_eq!(told(rules, &[get("/x", 1), raw]), [vec![], vec![1]]);
}

#[test]
fn addresses_alone_are_looked_up() {
    let rules = r#"
        alert ip [198.51.100.0/24,203.0.113.9] any -> any any (msg:"listed"; sid:1;)
        alert tcp any any -> [203.0.113.0/28] any (msg:"to"; sid:2;)
        alert ip 2001:db8::/32 any -> any any (msg:"six"; sid:3;)
        alert tcp $HOME_NET any -> [203.0.113.9] 80 (msg:"syn"; flags:S; sid:4;)
    "#;
    let start = |way| Event::new(Occasion::FlowStart, way);
    let syn = packet(Way::ToServer, b"").change(|f| f.tcp_flags = 2);
    let events = [start(Way::ToServer), start(Way::ToClient), syn];
    assert_eq!(told(rules, &events), [vec![2], vec![1], vec![4]]);
}

#[test]
fn engine_events_and_application_events() {
    let rules = r#"
        alert pkthdr any any -> any any (msg:"short"; decode-event:ipv4.trunc_pkt; sid:1;)
        alert http any any -> any any (msg:"host"; flow:to_server; \
            app-layer-event:http.missing_host_header; sid:2;)
    "#;
    let odd = |n| Event::new(Occasion::Anomaly(n), Way::ToServer);
    let number =
        u64::from(portcullis_decode::event_named("http.missing_host_header").expect("known"));
    let hostless = request().number(kind::APP_EVENT, 3).number(kind::APP_EVENT, number);
    let events = [odd(0), odd(1), hostless, request().number(kind::APP_EVENT, 3)];
    assert_eq!(told(rules, &events), [vec![1], vec![], vec![2], vec![]]);
}

#[test]
fn fields_of_tls_dns_and_files() {
    let rules = r#"
        alert tls any any -> any any (tls.sni; content:"evil.example"; nocase; sid:1;)
        alert tls any any -> any any (tls.version:1.0; sid:2;)
        alert dns any any -> any any (dns.query; content:"evil"; dns.query; content:"second"; \
            sid:3;)
        alert dns any any -> any any (dns.opcode:4; sid:4;)
        alert http any any -> any any (flow:to_client; file.data; content:"MZ"; startswith; \
            filesize:>100; sid:5;)
        alert tls any any -> any any (ja3.hash; content:"abcd"; sid:6;)
    "#;
    let hello = transaction(application::TLS, Way::ToServer)
        .with(kind::TLS_SNI, "www.EVIL.example")
        .number(kind::TLS_VERSION_NUMBER, 0x0301);
    let two = transaction(application::DNS, Way::ToServer)
        .with(kind::DNS_QUERY_NAME, "a.evil")
        .with(kind::DNS_QUERY_NAME, "second")
        .number(kind::DNS_OPCODE, 4)
        .change(|f| f.flow = 2);
    let one = transaction(application::DNS, Way::ToServer)
        .with(kind::DNS_QUERY_NAME, "evil.org")
        .change(|f| f.flow = 3);
    let file = |size| {
        transaction(application::HTTP, Way::ToClient)
            .piece(kind::FILE_DATA, b"MZ\x90", 0, false)
            .number(kind::FILE_SIZE, size)
    };
    let big = file(101).change(|f| f.flow = 4);
    let small = file(100).change(|f| f.flow = 5);
    let later = transaction(application::HTTP, Way::ToClient)
        .piece(kind::FILE_DATA, b"MZ\x90", 16, true)
        .number(kind::FILE_SIZE, 1000)
        .change(|f| f.flow = 6);
    let events = [hello, two, one, big, small, later];
    let expected: [&[u32]; 6] = [&[1, 2], &[3, 4], &[], &[5], &[], &[]];
    assert_eq!(told(rules, &events), expected);
}

#[test]
fn a_stream_is_one_place_after_another() {
    let rules =
        r#"alert tcp any any -> any any (content:"abc"; depth:10; flow:only_stream; sid:1;)"#;
    let piece = |offset| {
        Event::new(Occasion::Stream, Way::ToServer)
            .piece(kind::STREAM, b"abc", offset, false)
            .change(|f| f.at += offset)
    };
    assert_eq!(told(rules, &[piece(5), piece(100), piece(8)]), [vec![1], vec![], vec![]]);
}

#[test]
fn icmp_and_headers_of_packets() {
    let rules = r#"
        alert icmp any any -> any any (itype:8; icode:0; icmp_id:7; sid:1;)
        alert ip any any -> any any (id:0x1234; fragbits:D; sid:2;)
        alert tcp any any -> any any (tcp.mss:<600; flags:S; sid:3;)
        alert ip any any -> any any (sameip; sid:4;)
        alert ip any any -> any any (ipopts:rr; sid:5;)
    "#;
    use portcullis_rules_form::Field;
    let mut ip = [0u8; 24];
    ip[..8].copy_from_slice(&[0x46, 0, 0, 40, 0x12, 0x34, 0x40, 0]);
    ip[20..].copy_from_slice(&[7, 3, 4, 0]);
    let echo =
        packet(Way::ToServer, b"").with(kind::ICMPV4_HDR, [8, 0, 0, 0, 0, 7, 0, 1]).change(|f| {
            f.protocol = 1;
            f.numbers = vec![(Field::IcmpType, 8), (Field::IcmpCode, 0)];
        });
    let plain = packet(Way::ToServer, b"").with(kind::IPV4_HDR, ip).change(|f| f.at += 1);
    let mut tcp = [0u8; 24];
    tcp[20..].copy_from_slice(&[2, 4, 2, 0]);
    let syn = packet(Way::ToServer, b"").with(kind::TCP_HDR, tcp).change(|f| {
        f.tcp_flags = 2;
        f.at += 2;
    });
    let same = packet(Way::ToServer, b"").change(|f| (f.server, f.at) = (f.client, f.at + 3));
    let expected: [&[u32]; 4] = [&[1], &[2, 5], &[3], &[4]];
    assert_eq!(told(rules, &[echo, plain, syn, same]), expected);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// A section that lies costs findings, never a panic.
    #[test]
    fn hostile_sections_do_no_harm(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
    ) {
        let rules = r#"
            alert http any any -> $HOME_NET any (http.uri; content:"/b"; pcre:"/p/"; sid:1;)
            alert tcp any any -> any any (content:"ab"; byte_jump:1,0,relative; content:"c"; sid:2;)
            alert ip [203.0.113.0/24] any -> any any (msg:"listed"; sid:3;)
            alert http any any -> any any (http.uri; dataset:isset,s,type string; sid:4;)
        "#;
        let mut street = Street::new(rules);
        // The host opens what it is given; here only what the plugin reads is changed.
        for (at, value) in changes {
            let at = at.index(street.set.len());
            street.set[at] = value;
        }
        street.judge_hostile(&[
            request(),
            packet(Way::ToServer, b"ab\x01c"),
            Event::new(Occasion::FlowStart, Way::ToServer),
        ]);
    }
}
