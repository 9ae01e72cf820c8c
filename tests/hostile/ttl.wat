  ;; Traps on a packet whose TTL is 66: the one that was crafted to crash it.
  (func $judge (param $i i32) (param $at i32)
    (if (i32.eq (i32.load8_u offset=7 (local.get $at)) (i32.const 66))
      (then
        unreachable)))
