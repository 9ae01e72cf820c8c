  ;; Grows its memory until the limit, then beyond.
  (func $judge (param $i i32) (param $at i32)
    (if (i32.eq (i32.load16_u offset=52 (local.get $at)) (i32.const 666))
      (then
        (loop $more (br_if $more (i32.ne (memory.grow (i32.const 16)) (i32.const -1))))
        (if (i32.gt_u (memory.size) (i32.const 256)) (then unreachable))))
    (call $say (local.get $i) (i32.const 1)))
