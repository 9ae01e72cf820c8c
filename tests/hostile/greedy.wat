  ;; Stays just below the budget of the whole batch, so that a neighbour runs out.
  (func $judge (param $i i32) (param $at i32) (local $n i32)
    (if (i32.eq (i32.load16_u offset=52 (local.get $at)) (i32.const 666))
      (then
        (local.set $n (i32.const 25000))
        (loop $more (local.set $n (i32.sub (local.get $n) (i32.const 1))) (br_if $more (local.get $n)))))
    (call $say (local.get $i) (i32.const 1)))
