  ;; Verdicts about what is not there, by rules that do not exist, with numbers that mean nothing.
  (func $judge (param $i i32) (param $at i32)
    (if (i32.eq (i32.load16_u offset=52 (local.get $at)) (i32.const 666))
      (then
        (call $say (i32.const 4000000) (i32.const 1))
        (call $say (local.get $i) (i32.const 77))
        (call $write (local.get $i) (i32.const 1))
        (i32.store offset=4 (call $next) (i32.const 0x09090909)) (call $count)
        ;; Another generator.
        (call $write (local.get $i) (i32.const 1))
        (i32.store offset=8 (call $next) (i32.const 1)) (call $count)
        ;; Pass, which nobody granted.
        (call $write (local.get $i) (i32.const 1))
        (i32.store8 offset=20 (call $next) (i32.const 0)) (call $count)
        ;; More than the rule has: cut. A text and evidence beyond everything: none.
        (call $write (local.get $i) (i32.const 1))
        (i32.store8 offset=20 (call $next) (i32.const 3))
        (i32.store offset=24 (call $next) (i32.const -1))
        (i32.store offset=28 (call $next) (i32.const 0))
        (i32.store offset=32 (call $next) (i32.const -1))
        (i32.store offset=36 (call $next) (i32.const -1))
        (i32.store offset=40 (call $next) (i32.const -8))
        (i32.store offset=44 (call $next) (i32.const -8)) (call $count)
        ;; An earlier event after a later one.
        (call $say (i32.const 0) (i32.const 1))
        return))
    (call $say (local.get $i) (i32.const 1)))
