/* Which nodes the outputs need, and how often each is used. */
#include "model/plan/plan_build.h"

int plan_through(const struct plan_builder *b, int node)
{
    for (;;) {
        const struct node *n = plan_node(b, node);
        bool same = n->op == OP_STOP_GRADIENT ||
                    ((n->op == OP_SUM || n->op == OP_REDUCE_MAX) &&
                     shape_equal(&n->shape, &plan_node(b, n->input[0])->shape));
        if (!same) {
            return node;
        }
        node = n->input[0];
    }
}

bool plan_is_leaf(const struct plan_builder *b, int node)
{
    enum op_kind op = plan_node(b, node)->op;
    return op == OP_PARAMETER || op == OP_BUFFER || op == OP_INPUT || op == OP_SCALAR;
}

static void count_uses(struct plan_builder *b)
{
    for (int n = 0; n < b->node_count; n++) {
        const struct node *node = plan_node(b, n);
        if (!b->notes[n].reached || plan_through(b, n) != n) {
            continue;
        }
        bool keeps = plan_class(b, n) != OP_CLASS_ELEMENTWISE && !plan_is_reduction(b, n);
        for (int i = 0; i < node->input_count; i++) {
            struct plan_note *note = &b->notes[plan_through(b, node->input[i])];
            note->uses++;
            note->kept = note->kept || keeps;
        }
    }
    for (int i = 0; i < b->request->output_count; i++) {
        struct plan_note *note = &b->notes[plan_through(b, b->request->outputs[i].node)];
        note->uses++;
        note->kept = true;
        note->wanted = true;
    }
}

bool plan_order(struct plan_builder *b)
{
    const struct plan_request *request = b->request;
    for (int i = 0; i < request->output_count; i++) {
        int after = request->outputs[i].node + 1;
        b->node_count = after > b->node_count ? after : b->node_count;
    }
    b->notes = cam_arena_alloc(b->scratch, (size_t)b->node_count + 1, sizeof *b->notes);
    if (b->notes == NULL) {
        return false;
    }
    for (int n = 0; n < b->node_count; n++) {
        b->notes[n] =
            (struct plan_note){.step = NONE, .source = NONE, .value = NONE, .output = NONE};
    }
    for (int i = 0; i < request->output_count; i++) {
        b->notes[request->outputs[i].node].reached = true;
    }
    for (int n = b->node_count - 1; n >= 0; n--) {
        const struct node *node = plan_node(b, n);
        for (int i = 0; i < node->input_count && b->notes[n].reached; i++) {
            b->notes[node->input[i]].reached = true;
        }
    }
    count_uses(b);
    return true;
}
