// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0
//
// The kernel program: the first hop of every frame.
//
//   frame ─► port known? ─► operator bypass? ─► source blocked? ─► worker alive? ─► its socket
//              no: stack      yes: peer port      yes: drop          no: on_failure
//
// It is complete in itself: no kernel headers, no library. It must never know what an attack is; it
// carries out blocks that somebody else wrote, and keeps a segment open or closed while nobody is
// there to write them. Map layouts are mirrored in `src/kernel/layout.rs` and, for the block map,
// in `portcullis_types::{KernelKey, KernelBlock}`; change both sides and LAYOUT_VERSION together.
//
// Built twice: plain, and with -DFRAGS for ports whose MTU needs frames in several pieces.

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

#define SEC(name) __attribute__((section(name), used))
#define INLINE static inline __attribute__((always_inline))
#define __uint(name, value) int (*name)[value]
#define __type(name, value) typeof(value) *name
#define be16(x) __builtin_bswap16(x)
#define READ_ONCE(x) (*(volatile typeof(x) *)&(x))

// include/uapi/linux/bpf.h
enum { MAP_HASH = 1, MAP_ARRAY = 2, MAP_PERCPU_ARRAY = 6, MAP_DEVMAP = 14, MAP_XSKMAP = 17 };
enum { F_NO_PREALLOC = 1, F_MMAPABLE = 1 << 10 };
enum xdp_action { XDP_ABORTED, XDP_DROP, XDP_PASS, XDP_TX, XDP_REDIRECT };

struct xdp_md {
	u32 data;
	u32 data_end;
	u32 data_meta;
	u32 ingress_ifindex;
	u32 rx_queue_index;
	u32 egress_ifindex;
};

static void *(*map_lookup)(void *map, const void *key) = (void *)1;
static long (*redirect_map)(void *map, u64 key, u64 flags) = (void *)51;
static u64 (*boot_ns)(void) = (void *)125;

// The numbers below are mirrored in src/kernel/layout.rs.
#define PORTS_MAX 64
#define QUEUES_MAX 64
#define SOCKETS_MAX (PORTS_MAX * QUEUES_MAX)
#define BLOCKS_MAX 131072
#define TAGS_MAX 4 // tags looked at, VID 0 included; more than that go up
#define VIDS_MAX 2 // VIDs in a block's key; deeper stacks go up

struct block_key { // portcullis_types::KernelKey
	u16 vids[2];
	u16 segment;
	u8 family;
	u8 prefix_len;
	u8 addr[16];
};

struct block { // portcullis_types::KernelBlock
	u64 until_boot_ns;
	u64 packets;
	u64 bytes;
};

enum on_failure { CLOSED = 0, OPEN = 1 };

struct port {
	u64 heartbeat_ns_max; // a worker that has been silent for longer is dead
	u32 slot;	      // this port's row in sockets, heartbeats and counters
	u32 peer_slot;	      // its entry in peers; PORTS_MAX for a tap
	u16 segment;
	u8 on_failure;
	u8 bypass; // the operator's: the kernel forwards everything, blocked or not
	u32 padding;
};

enum counter {
	REDIRECTED,	   // handed to a worker's socket
	DROPPED_BLOCKED,   // source blocked
	BYPASSED_OPERATOR, // forwarded here because the operator said so
	BYPASSED_OPEN,	   // forwarded here because no worker was there: on_failure = open
	DROPPED_CLOSED,	   // dropped because no worker was there: on_failure = closed
	NO_SOCKET,	   // of the last two: the queue has no socket
	NO_HEARTBEAT,	   // of the last two: its worker is silent
	BLOCK_EXPIRED,	   // a block was found, but its time is up: carried on
	TOO_MANY_TAGS,	   // blocks could not be looked up: carried on to user space
	COUNTERS_MAX,
};

struct {
	__uint(type, MAP_HASH);
	__uint(max_entries, BLOCKS_MAX);
	__type(key, struct block_key);
	__type(value, struct block);
} blocks SEC(".maps");

struct { // ports by interface index
	__uint(type, MAP_HASH);
	__uint(max_entries, PORTS_MAX);
	__type(key, u32);
	__type(value, struct port);
} config SEC(".maps");

struct { // boot nanoseconds at which each worker was last alive; written by plain stores
	__uint(type, MAP_ARRAY);
	__uint(max_entries, SOCKETS_MAX);
	__uint(map_flags, F_MMAPABLE);
	__type(key, u32);
	__type(value, u64);
} heartbeats SEC(".maps");

struct {
	__uint(type, MAP_XSKMAP);
	__uint(max_entries, SOCKETS_MAX);
	__type(key, u32);
	__type(value, u32);
} sockets SEC(".maps");

struct devmap_value {
	u32 ifindex;
	u32 program;
};

struct {
	__uint(type, MAP_DEVMAP);
	__uint(max_entries, PORTS_MAX);
	__type(key, u32);
	__type(value, struct devmap_value);
} peers SEC(".maps");

struct {
	__uint(type, MAP_PERCPU_ARRAY);
	__uint(max_entries, PORTS_MAX * 16);
	__type(key, u32);
	__type(value, u64);
} counters SEC(".maps");

INLINE void count(const struct port *port, enum counter which)
{
	u32 index = port->slot * 16 + which;
	u64 *value = map_lookup(&counters, &index);
	if (value)
		*value += 1;
}

INLINE int is_tag(u16 ethertype)
{
	return ethertype == be16(0x8100) || ethertype == be16(0x88a8) || ethertype == be16(0x9100);
}

// Whether this block holds at the moment; counts what it stops.
INLINE int block_holds(const struct port *port, struct block_key *key, u64 now, u64 bytes)
{
	struct block *block = map_lookup(&blocks, key);
	if (!block)
		return 0;
	if (now >= READ_ONCE(block->until_boot_ns)) {
		count(port, BLOCK_EXPIRED);
		return 0;
	}
	__sync_fetch_and_add(&block->packets, 1);
	__sync_fetch_and_add(&block->bytes, bytes);
	return 1;
}

// Whether the source of this frame is blocked in its segment and VLAN stack.
//
// The rule of the VLAN stack is the one of `wire`: VIDs only, VID 0 is no place. ARP is no IP and
// is never looked at; neighbour discovery (ICMPv6 133 to 137 with the hop limit 255, so that it has
// come through no router) is let through.
INLINE int is_blocked(struct xdp_md *ctx, const struct port *port, u64 now)
{
	u8 *data = (u8 *)(long)ctx->data;
	u8 *end = (u8 *)(long)ctx->data_end;
	u64 bytes = end - data;
	struct block_key key = { .segment = port->segment };
	u8 *next = data + 14;
	u32 vids = 0, stack = 0;

	if (next > end)
		return 0;
	u16 ethertype = *(u16 *)(data + 12);

#pragma unroll
	for (int i = 0; i < TAGS_MAX; i++) {
		if (!is_tag(ethertype))
			break;
		if (next + 4 > end)
			return 0;
		u16 vid = be16(*(u16 *)next) & 0x0fff;
		ethertype = *(u16 *)(next + 2);
		next += 4;
		if (vid == 0)
			continue;
		if (vids == VIDS_MAX) {
			count(port, TOO_MANY_TAGS);
			return 0;
		}
		// Collected in a register: the verifier refuses an array index on the stack.
		stack |= (u32)vid << (vids * 16);
		vids++;
	}
	key.vids[0] = stack & 0xffff;
	key.vids[1] = stack >> 16;

	if (ethertype == be16(0x0800)) {
		if (next + 20 > end)
			return 0;
		key.family = 4;
		key.prefix_len = 32;
		*(u32 *)key.addr = *(u32 *)(next + 12);
		return block_holds(port, &key, now, bytes);
	}
	if (ethertype == be16(0x86dd)) {
		if (next + 40 > end)
			return 0;
		if (next[6] == 58 && next[7] == 255 && next + 41 <= end && next[40] >= 133 &&
		    next[40] <= 137)
			return 0;
		key.family = 6;
		key.prefix_len = 128;
		__builtin_memcpy(key.addr, next + 8, 16);
		if (block_holds(port, &key, now, bytes))
			return 1;
		key.prefix_len = 64;
		__builtin_memset(key.addr + 8, 0, 8);
		return block_holds(port, &key, now, bytes);
	}
	if (is_tag(ethertype))
		count(port, TOO_MANY_TAGS);
	return 0;
}

INLINE int to_peer(const struct port *port, enum counter why)
{
	count(port, why);
	// A tap has no peer, and a peer that is gone has no entry: the frame ends here.
	return redirect_map(&peers, port->peer_slot, XDP_DROP);
}

// The frame's queue has no socket (or nobody behind it). For a tap nothing is lost by dropping.
INLINE int on_failure(const struct port *port, enum counter why)
{
	count(port, why);
	if (port->on_failure == OPEN)
		return to_peer(port, BYPASSED_OPEN);
	count(port, DROPPED_CLOSED);
	return XDP_DROP;
}

#ifdef FRAGS
SEC("xdp.frags")
#else
SEC("xdp")
#endif
int portcullis(struct xdp_md *ctx)
{
	u32 ifindex = ctx->ingress_ifindex;
	struct port *port = map_lookup(&config, &ifindex);
	if (!port)
		return XDP_PASS;
	if (READ_ONCE(port->bypass))
		return to_peer(port, BYPASSED_OPERATOR);

	u64 now = boot_ns();
	if (is_blocked(ctx, port, now)) {
		count(port, DROPPED_BLOCKED);
		return XDP_DROP;
	}

	if (ctx->rx_queue_index >= QUEUES_MAX)
		return on_failure(port, NO_SOCKET);
	u32 index = port->slot * QUEUES_MAX + ctx->rx_queue_index;
	u64 *heartbeat = map_lookup(&heartbeats, &index);
	if (!heartbeat)
		return on_failure(port, NO_SOCKET);
	// A worker may have stamped after `now` was read here: then it is alive as can be.
	u64 alive = READ_ONCE(*heartbeat);
	if (now > alive && now - alive > port->heartbeat_ns_max)
		return on_failure(port, NO_HEARTBEAT);
	if (!map_lookup(&sockets, &index))
		return on_failure(port, NO_SOCKET);
	count(port, REDIRECTED);
	return redirect_map(&sockets, index, XDP_DROP);
}

SEC("license") char LICENSE[] = "Dual MIT/GPL";
