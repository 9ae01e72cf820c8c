  ;; A verdict flood.
  (func $judge (param $i i32) (param $at i32)
    (if (i32.eq (i32.load16_u offset=52 (local.get $at)) (i32.const 666))
      (then
        (loop $more (call $say (local.get $i) (i32.const 1))
          (br_if $more (i32.lt_u (i32.load (i32.const 32772)) (i32.const 200))))
        ;; And a count beyond the arena.
        (i32.store (i32.const 32772) (i32.const -2))
        return))
    (call $say (local.get $i) (i32.const 1)))
