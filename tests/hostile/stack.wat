  ;; Recurses without end.
  (func $judge (param $i i32) (param $at i32)
    (if (i32.eq (i32.load16_u offset=52 (local.get $at)) (i32.const 666))
      (then
        (call $judge (local.get $i) (local.get $at))))
    (call $say (local.get $i) (i32.const 1)))
