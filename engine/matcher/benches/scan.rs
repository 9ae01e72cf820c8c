//! Bytes per second of the literal scan beside aho-corasick: clean text, near misses, slices.
//!
//! `cargo bench -p portcullis-matcher`. Time is the processor's, not the wall's, so that a busy
//! machine blurs the figures less. Literals and payloads are made of the same syllables, so
//! that they resemble each other as rules and traffic do. *Near misses* are literals whose last
//! byte is wrong; *slices* are six bytes from inside literals, one after another, which is what
//! somebody sends who knows the tables.
#![allow(clippy::unwrap_used, missing_docs, reason = "a bench, not a product")]

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use criterion::measurement::{Measurement, ValueFormatter, WallTime};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use portcullis_matcher::{Budget, Builder, Case, Kernel, Limits, Literal, Matcher};
use rustix::time::{ClockId, clock_gettime};
use std::hint::black_box;
use std::time::Duration;

/// What this thread has spent.
struct ProcessorTime;

impl Measurement for ProcessorTime {
    type Intermediate = Duration;
    type Value = Duration;

    fn start(&self) -> Duration {
        let now = clock_gettime(ClockId::ThreadCPUTime);
        Duration::new(now.tv_sec.cast_unsigned(), u32::try_from(now.tv_nsec).unwrap())
    }

    fn end(&self, began: Duration) -> Duration {
        self.start().saturating_sub(began)
    }

    fn add(&self, one: &Duration, other: &Duration) -> Duration {
        *one + *other
    }

    fn zero(&self) -> Duration {
        Duration::ZERO
    }

    fn to_f64(&self, value: &Duration) -> f64 {
        value.as_secs_f64() * 1e9
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        WallTime.formatter()
    }
}

const PAYLOAD: usize = 1400;
const PAYLOADS: usize = 200;

const PARTS: [&str; 64] = [
    "ad", "min", "in", "dex", "php", "/", "/", ".", "-", "_", "=", "?", "wp", "con", "tent", "up",
    "load", "user", "name", "pass", "word", "get", "set", "list", "file", "a", "e", "i", "o", "s",
    "t", "er", "on", "an", "re", "ing", "ed", "api", "v1", "js", "css", "img", "com", "net", "org",
    "ru", "cn", "info", "shop", "mail", "log", "out", "cgi", "bin", "exe", "id", "1", "2", "3",
    "45", "x", "q", "&", ":",
];

struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        usize::try_from(self.0 >> 33).unwrap() % n
    }

    fn text(&mut self, at_least: usize) -> Vec<u8> {
        let mut text = Vec::new();
        while text.len() < at_least {
            if self.below(2) == 0 {
                text.extend_from_slice(PARTS[self.below(PARTS.len())].as_bytes());
            } else {
                let letters = b"abcdefghijklmnopqrstuvwxyz";
                (0..3).for_each(|_| text.push(letters[self.below(26)]));
            }
        }
        text
    }
}

fn literals(count: usize) -> Vec<Vec<u8>> {
    let mut random = Random(1);
    let mut texts: Vec<Vec<u8>> = Vec::new();
    let mut known = std::collections::HashSet::new();
    while texts.len() < count {
        let length = 6 + random.below(15);
        let text = random.text(length);
        if known.insert(text.clone()) {
            texts.push(text);
        }
    }
    texts
}

fn matcher(texts: &[Vec<u8>], kernel: Kernel) -> Matcher {
    let mut builder = Builder::new(Limits::default()).kernel(kernel);
    for (id, bytes) in (0..).zip(texts) {
        let nocase = if id % 2 == 0 { Case::Insensitive } else { Case::Sensitive };
        builder.add(Literal { id, bytes, nocase, group: 0 }).unwrap();
    }
    builder.build()
}

fn cut(bytes: &[u8]) -> Vec<Vec<u8>> {
    bytes.chunks_exact(PAYLOAD).take(PAYLOADS).map(<[u8]>::to_vec).collect()
}

fn clean() -> Vec<Vec<u8>> {
    let mut random = Random(77);
    let mut bytes = Vec::new();
    while bytes.len() < PAYLOAD * (PAYLOADS + 1) {
        bytes.extend_from_slice(b"GET /");
        bytes.extend(random.text(20));
        bytes.extend_from_slice(b" HTTP/1.1\r\nHost: ");
        bytes.extend(random.text(12));
        bytes.extend_from_slice(b"\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) Gecko\r\n\r\n");
        let words = 20 + random.below(60);
        for _ in 0..words {
            let length = 2 + random.below(7);
            (0..length).for_each(|_| bytes.push(b"etaoinshrdlucmfwyp"[random.below(18)]));
            bytes.extend_from_slice(b" ");
        }
    }
    cut(&bytes)
}

fn near_misses(texts: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut random = Random(5);
    let mut bytes = Vec::new();
    while bytes.len() < PAYLOAD * (PAYLOADS + 1) {
        let text = &texts[random.below(texts.len())];
        bytes.extend_from_slice(&text[..text.len() - 1]);
        bytes.push(text[text.len() - 1] ^ 0x11);
    }
    cut(&bytes)
}

fn slices(texts: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut random = Random(6);
    let mut bytes = Vec::new();
    while bytes.len() < PAYLOAD * (PAYLOADS + 1) {
        let text = &texts[random.below(texts.len())];
        let start = random.below(text.len() - 4);
        bytes.extend_from_slice(&text[start..text.len().min(start + 6)]);
    }
    cut(&bytes)
}

fn scan_all(matcher: &Matcher, payloads: &[Vec<u8>]) -> u64 {
    let mut hits = 0;
    for payload in payloads {
        let mut budget = Budget::of_payload(payload.len());
        matcher.scan(0, black_box(payload), 0, &mut budget, &mut |_| hits += 1);
    }
    hits
}

fn scans(c: &mut Criterion<ProcessorTime>) {
    for count in [50, 1_000, 10_000, 30_000] {
        let texts = literals(count);
        let floods =
            [("clean", clean()), ("near-misses", near_misses(&texts)), ("slices", slices(&texts))];
        let ours = matcher(&texts, Kernel::Avx2);
        let scalar = matcher(&texts, Kernel::Scalar);
        let kind = AhoCorasickKind::ContiguousNFA;
        let kind = if count <= 10_000 { AhoCorasickKind::DFA } else { kind };
        let theirs = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .kind(Some(kind))
            .build(&texts)
            .unwrap();
        let mut group = c.benchmark_group(format!("scan/{count}"));
        group.throughput(Throughput::Bytes((PAYLOAD * PAYLOADS) as u64)).sample_size(10);
        group.warm_up_time(Duration::from_millis(300));
        group.measurement_time(Duration::from_millis(700));
        for (flood, payloads) in &floods {
            group.bench_with_input(BenchmarkId::new("avx2", flood), payloads, |b, payloads| {
                b.iter(|| scan_all(&ours, payloads));
            });
            group.bench_with_input(BenchmarkId::new("scalar", flood), payloads, |b, payloads| {
                b.iter(|| scan_all(&scalar, payloads));
            });
            let name = BenchmarkId::new("aho-corasick", flood);
            group.bench_with_input(name, payloads, |b, payloads| {
                b.iter(|| {
                    let of_one = |p: &Vec<u8>| theirs.find_overlapping_iter(p).count();
                    payloads.iter().map(of_one).sum::<usize>()
                });
            });
        }
        group.finish();
    }
}

fn builds(c: &mut Criterion<ProcessorTime>) {
    let mut group = c.benchmark_group("build");
    group.sample_size(10).measurement_time(Duration::from_secs(1));
    for count in [1_000, 10_000, 30_000] {
        let texts = literals(count);
        group.bench_with_input(BenchmarkId::new("literals", count), &texts, |b, texts| {
            b.iter(|| matcher(texts, Kernel::Avx2));
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().with_measurement(ProcessorTime);
    targets = scans, builds
}
criterion_main!(benches);
