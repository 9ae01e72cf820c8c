  ;; Counts its flow's events in the flow slot and reports from the second on; traps at 666.
  (func $judge (param $i i32) (param $at i32) (local $slot i32)
    (local.set $slot
      (i32.load offset=128
        (i32.add (i32.add (i32.const 65536) (i32.load offset=32 (i32.const 65536)))
          (i32.mul (i32.load (local.get $at)) (i32.load offset=28 (i32.const 65536))))))
    (local.set $slot (i32.add (i32.const 65536) (local.get $slot)))
    (i32.store (local.get $slot) (i32.add (i32.load (local.get $slot)) (i32.const 1)))
    (if (i32.eq (i32.load16_u offset=52 (local.get $at)) (i32.const 666)) (then unreachable))
    (if (i32.gt_u (i32.load (local.get $slot)) (i32.const 1))
      (then (call $say (local.get $i) (i32.const 1)))))
