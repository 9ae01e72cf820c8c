(module
  ;; IMPORTS
  (memory (export "memory") 8)
  ;; The layout record at 1024: input at 65536, output at 32768.
  (data (i32.const 1024)
    "PCA1" "\01\00\00\00" "\00\00\01\00" "\00\00\00\00" "\00\80\00\00" "\40\51\00\00"
    "\20\00\00\00" "\60\00\00\00" "\c8\00\00\00" "\20\4b\00\00" "\08\00\00\00" "\40\00\00\00"
    "\20\4d\00\00" "\00\04\00\00" "\00\00\00\00" "\00\00\00\00")
  (func (export "portcullis_layout") (param i32) (result i32)
    (i32.store (i32.const 1036) (local.get 0))
    (i32.const 1024))
  (func (export "portcullis_init") (result i32) (i32.const 0))
  ;; The address that the next verdict lies at.
  (func $next (result i32)
    (i32.add (i32.const 32800) (i32.mul (i32.load (i32.const 32772)) (i32.const 96))))
  (func $count
    (i32.store (i32.const 32772) (i32.add (i32.load (i32.const 32772)) (i32.const 1))))
  (func $write (param $event i32) (param $sid i32)
    (local $v i32)
    (local.set $v (call $next))
    (memory.fill (local.get $v) (i32.const 0) (i32.const 96))
    (i32.store (local.get $v) (local.get $event))
    (i32.store offset=4 (local.get $v) (i32.const -1))
    (i32.store offset=12 (local.get $v) (local.get $sid))
    (i32.store offset=20 (local.get $v) (i32.const 0x00ffffff))
    (i32.store offset=28 (local.get $v) (i32.const -1)))
  (func $say (param $event i32) (param $sid i32)
    (call $write (local.get $event) (local.get $sid))
    (call $count))
  (func (export "portcullis_batch")
    (local $i i32) (local $at i32)
    (memory.fill (i32.const 32768) (i32.const 0) (i32.const 32))
    (local.set $i (i32.load offset=88 (i32.const 65536)))
    (block $end
      (loop $events
        (i32.store (i32.const 32768) (local.get $i))
        (br_if $end (i32.ge_u (local.get $i) (i32.load offset=92 (i32.const 65536))))
        (local.set $at
          (i32.add (i32.add (i32.const 65536) (i32.load offset=44 (i32.const 65536)))
            (i32.mul (local.get $i) (i32.load offset=40 (i32.const 65536)))))
        (if (i32.load8_u offset=4 (local.get $at))
          (then (call $judge (local.get $i) (local.get $at))))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $events))))
  ;; JUDGE
)
