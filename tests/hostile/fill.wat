  ;; Fills all its memory with bulk stores, again and again.
  (func $judge (param $i i32) (param $at i32)
    (if (i32.eq (i32.load16_u offset=52 (local.get $at)) (i32.const 666))
      (then
        (drop (memory.grow (i32.const 200)))
        (loop $forever
          (memory.fill (i32.const 131072) (i32.const 7)
            (i32.sub (i32.mul (memory.size) (i32.const 65536)) (i32.const 131072)))
          (br $forever))))
    (call $say (local.get $i) (i32.const 1)))
