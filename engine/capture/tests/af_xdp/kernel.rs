//! The kernel program: blocks, a silent worker, death and restart.

use super::*;

fn blocks(program: &KernelProgram) -> HashMap<MapData, [u8; 24], [u64; 3]> {
    let data = MapData::from_fd(program.blocks_fd_owned().unwrap()).unwrap();
    Map::HashMap(data).try_into().unwrap()
}

fn key(vids: &[u16], prefix: &str) -> [u8; 24] {
    let vlan = VlanStack::from_vids(vids).unwrap();
    let source = prefix.parse().unwrap();
    let key = BlockKey { segment: SegmentId(7), vlan, source, tunnel: 0 };
    let k = key.kernel_key().unwrap();
    let mut bytes = [0; 24];
    bytes[0..2].copy_from_slice(&k.vids[0].to_ne_bytes());
    bytes[2..4].copy_from_slice(&k.vids[1].to_ne_bytes());
    bytes[4..6].copy_from_slice(&k.segment.to_ne_bytes());
    bytes[6] = k.family;
    bytes[7] = k.prefix_len;
    bytes[8..].copy_from_slice(&k.addr);
    bytes
}

fn until(from_now: Duration) -> [u64; 3] {
    [(now() + from_now).0, 0, 0]
}

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn blocks_hold_per_vlan_stack_and_vid_zero_evades_nothing() {
    in_lab(Shape::default(), |lab| {
        let (a, b) = (lab.host("ha"), lab.host("hb"));
        let mut program = load(lab, Pieces::One);
        let mut source = one(open(&mut program, &plan()).unwrap());
        let mut map = blocks(&program);
        type Place = (&'static [u16], &'static [(u16, u16)]);
        let places: [Place; 4] = [
            (&[], &[]),
            (&[10], &[(0x8100, 10)]),
            (&[20], &[(0x88a8, 20)]),
            (&[10, 20], &[(0x88a8, 10), (0x8100, 20)]),
        ];
        for (blocked, _) in places {
            map.insert(key(blocked, "10.0.0.1"), until(HOUR), 0).unwrap();
            for (place, tags) in places {
                let passed = passes(&mut source, &a, &b, &ipv4(tags, 1, 9, 20));
                assert_eq!(passed, blocked != place, "block in {blocked:?}, frame in {place:?}");
                // Priority bits and priority tags are no place, before or between others.
                let mut evading: Vec<_> = tags.iter().map(|&(p, v)| (p, v | 0xe000)).collect();
                evading.insert(0, (0x8100, 0));
                let passed = passes(&mut source, &a, &b, &ipv4(&evading, 1, 9, 20));
                assert_eq!(passed, blocked != place, "VID 0 in front, block in {blocked:?}");
                evading.push((0x8100, 0xe000));
                let passed = passes(&mut source, &a, &b, &ipv4(&evading, 1, 9, 20));
                assert_eq!(passed, blocked != place, "VID 0 around, block in {blocked:?}");
                assert!(passes(&mut source, &a, &b, &ipv4(tags, 2, 9, 20)), "another source");
            }
            map.remove(&key(blocked, "10.0.0.1")).unwrap();
        }
    });
}

#[test]
fn blocks_count_expire_and_leave_arp_and_discovery_alone() {
    in_lab(Shape::default(), |lab| {
        let (a, b) = (lab.host("ha"), lab.host("hb"));
        let mut program = load(lab, Pieces::One);
        let mut source = one(open(&mut program, &plan()).unwrap());
        let mut map = blocks(&program);
        let v4 = key(&[], "10.0.0.1");
        map.insert(v4, until(Duration::from_millis(400)), 0).unwrap();
        map.insert(key(&[], "2001:db8:0:1::1"), until(HOUR), 0).unwrap();
        map.insert(key(&[], "2001:db8:0:2::/64"), until(HOUR), 0).unwrap();

        let frame = ipv4(&[], 1, 9, 20);
        assert!(!passes(&mut source, &a, &b, &frame));
        assert!(!passes(&mut source, &b, &a, &frame), "from either side");
        let [_, packets, bytes] = map.get(&v4, 0).unwrap();
        assert_eq!((packets, bytes), (2, 2 * frame.len() as u64));

        assert!(!passes(&mut source, &a, &b, &ipv6(1, 1, 17, 0)));
        assert!(passes(&mut source, &a, &b, &ipv6(1, 2, 17, 0)), "only the one address");
        assert!(!passes(&mut source, &a, &b, &ipv6(2, 9, 17, 0)), "the whole /64");
        assert!(!passes(&mut source, &a, &b, &ipv6(1, 1, 58, 128)), "an echo request");
        for discovery in 133..=137 {
            assert!(passes(&mut source, &a, &b, &ipv6(1, 1, 58, discovery)));
        }
        let mut routed = ipv6(1, 1, 58, 135);
        // The hop limit: behind the Ethernet header's 14 bytes, 7 more.
        routed[14 + 7] = 254;
        assert!(!passes(&mut source, &a, &b, &routed), "discovery does not come through a router");
        assert!(!passes(&mut source, &a, &b, &ipv6(1, 1, 58, 138)));
        let arp = [head(&[], 0x0806), vec![0, 1, 8, 0, 6, 4, 0, 1], vec![0; 38]].concat();
        assert!(passes(&mut source, &a, &b, &arp));

        std::thread::sleep(Duration::from_millis(400));
        assert!(passes(&mut source, &a, &b, &frame), "its time is up, nobody swept");
        let counted = &program.counters().unwrap()[0].1;
        assert_eq!((counted.dropped_blocked, counted.block_expired), (6, 1));
    });
}

#[test]
fn a_silent_worker_is_bypassed_or_closed() {
    in_lab(Shape::default(), |lab| {
        let (a, b) = (lab.host("ha"), lab.host("hb"));
        let mut program = load(lab, Pieces::One);
        let heartbeat_max = Duration::from_millis(100);
        let mut source = one(open(&mut program, &SegmentPlan { heartbeat_max, ..plan() }).unwrap());
        blocks(&program).insert(key(&[], "10.0.0.1"), until(HOUR), 0).unwrap();
        let (bad, good) = (ipv4(&[], 1, 9, 20), ipv4(&[(0x8100, 10)], 1, 9, 20));
        assert!(passes(&mut source, &a, &b, &good));

        // The worker hangs: nobody pumps.
        std::thread::sleep(heartbeat_max * 2);
        let before = counters(&program);
        a.send(&good);
        a.send(&bad);
        assert_eq!(b.drain(QUIET), std::slice::from_ref(&good), "open, and the block holds");
        let after = counters(&program);
        assert_eq!(after.bypassed_open - before.bypassed_open, 1);
        assert_eq!(after.no_heartbeat - before.no_heartbeat, 1);
        assert_eq!(after.dropped_blocked - before.dropped_blocked, 1);

        program.set_on_failure(SegmentId(7), OnFailure::Closed).unwrap();
        a.send(&good);
        assert!(b.drain(QUIET).is_empty(), "closed");
        assert_eq!(counters(&program).dropped_closed, 1);

        // It comes back.
        source.alive(now());
        assert!(passes(&mut source, &a, &b, &good));
        assert_eq!(counters(&program).redirected - before.redirected, 1);

        program.set_bypass(SegmentId(7), Bypass::On).unwrap();
        a.send(&bad);
        assert_eq!(b.drain(QUIET), [bad], "the operator's bypass forwards everything");
        program.set_bypass(SegmentId(7), Bypass::Off).unwrap();
        source.alive(now());
        assert!(passes(&mut source, &a, &b, &good));
    });
}

#[test]
fn death_and_restart_keep_blocks_and_replace_the_program() {
    in_lab(Shape::default(), |lab| {
        let (a, b) = (lab.host("ha"), lab.host("hb"));
        let (bad, good) = (ipv4(&[], 1, 9, 20), ipv4(&[], 2, 9, 20));
        let mut program = load(lab, Pieces::One);
        let source = one(open(&mut program, &plan()).unwrap());
        blocks(&program).insert(key(&[], "10.0.0.1"), until(HOUR), 0).unwrap();
        drop(source);
        drop(program);

        // No engine at all: pinned link, pinned maps.
        for _ in 0..3 {
            a.send(&bad);
            a.send(&good);
            assert_eq!(b.drain(QUIET), std::slice::from_ref(&good));
        }

        // Restart at once, several times: the socket's predecessor may still hold the queue.
        for round in 1..=5 {
            let mut program = load(lab, Pieces::One);
            assert!(program.notes().is_empty(), "{:?}", program.notes());
            let mut source = one(open(&mut program, &plan()).unwrap());
            assert!(passes(&mut source, &a, &b, &good), "round {round}");
            assert!(!passes(&mut source, &a, &b, &bad), "round {round}");
            assert!(program.release_others().is_empty());
        }

        // Another size of the block map: replaced, and said so.
        let plan_of = |blocks_max| KernelPlan {
            pin_directory: lab.pins.clone(),
            blocks_max,
            pieces: Pieces::One,
        };
        let mut program = KernelProgram::load(&plan_of(2048)).unwrap();
        assert!(program.notes()[0].contains("1024 entries"), "{:?}", program.notes());
        let mut source = one(open(&mut program, &plan()).unwrap());
        assert!(passes(&mut source, &a, &b, &bad), "the new map is empty");
        drop(source);
        drop(program);

        // A port that leaves the configuration is let go.
        let mut program = KernelProgram::load(&plan_of(2048)).unwrap();
        let tap = SegmentPlan { ports: vec!["pa".into()], ..plan() };
        let opened = open(&mut program, &tap).unwrap();
        assert_eq!(program.release_others().len(), 1);
        drop(opened);
        assert!(has_program("pa"));

        let names = portcullis_capture::kernel::detach(&lab.pins).unwrap();
        assert!(names.iter().any(|n| n == "blocks_v1"), "{names:?}");
        drop(program);
        // The kernel lets go of a link a moment after its last name and descriptor.
        let patience = Instant::now();
        while has_program("pa") {
            assert!(patience.elapsed() < Duration::from_secs(5), "detached");
            std::thread::sleep(Duration::from_millis(5));
        }
    });
}

fn has_program(port: &str) -> bool {
    let shown = std::process::Command::new("ip").args(["link", "show", port]).output().unwrap();
    String::from_utf8_lossy(&shown.stdout).contains("prog/xdp")
}
