// A switch's access port: what comes from the host gets the VLAN tags of its place, what goes to
// the host loses them, and what wears other tags does not go to it. It stands on the bridge's end
// of the host's wire, so that tools on the host see plain frames. INNER_VID is -1 for one tag.

struct __sk_buff {
    unsigned len, pkt_type, mark, queue_mapping, protocol, vlan_present, vlan_tci, vlan_proto;
};

static long (*vlan_push)(struct __sk_buff *, unsigned short, unsigned short) = (void *)18;
static long (*vlan_pop)(struct __sk_buff *) = (void *)19;

#define NETWORK_ORDER(x) ((unsigned short)(((x) >> 8) | ((x) << 8)))
#define SERVICE_TAG NETWORK_ORDER(0x88a8)
#define CUSTOMER_TAG NETWORK_ORDER(0x8100)
#define VID(tci) ((tci) & 0x0fff)
enum { PASS = 0, DROP = 2 };

__attribute__((section("from_host"), used)) int tag_frame(struct __sk_buff *frame)
{
#if INNER_VID >= 0
    if (vlan_push(frame, CUSTOMER_TAG, INNER_VID) || vlan_push(frame, SERVICE_TAG, OUTER_VID))
        return DROP;
#else
    if (vlan_push(frame, CUSTOMER_TAG, OUTER_VID))
        return DROP;
#endif
    return PASS;
}

__attribute__((section("to_host"), used)) int untag_frame(struct __sk_buff *frame)
{
#if OUTER_VID == 0
    // Who hides behind VID 0 is answered without a tag.
    if (!frame->vlan_present)
        return PASS;
#endif
    if (!frame->vlan_present || VID(frame->vlan_tci) != OUTER_VID || vlan_pop(frame))
        return DROP;
#if INNER_VID >= 0
    if (!frame->vlan_present || VID(frame->vlan_tci) != INNER_VID || vlan_pop(frame))
        return DROP;
#endif
    // One tag more than this host's place has: another place.
    return frame->vlan_present ? DROP : PASS;
}

char program_license[] __attribute__((section("license"), used)) = "Dual MIT/GPL";
