/* Not fused: every node is a step of its own; a reshape is a value at its input's place. */
#include "model/plan/plan_build.h"

static bool is_free(const struct plan_builder *b, int node)
{
    return plan_is_leaf(b, node) || plan_node(b, node)->op == OP_RESHAPE;
}

/* What a chain of reshapes is a reshape of. */
static int below_reshapes(const struct plan_builder *b, int node)
{
    node = plan_through(b, node);
    while (plan_node(b, node)->op == OP_RESHAPE) {
        node = plan_through(b, plan_node(b, node)->input[0]);
    }
    return node;
}

void plan_plain(struct plan_builder *b)
{
    for (int n = 0; n < b->node_count; n++) {
        if (b->notes[n].reached && plan_through(b, n) == n && !is_free(b, n)) {
            b->notes[n].step = plan_draft_add(b, n, NULL);
        }
    }
    for (int i = 0; i < b->request->output_count; i++) {
        int node = plan_through(b, b->request->outputs[i].node);
        struct plan_note *note = &b->notes[below_reshapes(b, node)];
        if (note->step != NONE && note->output == NONE) {
            note->output = i;
            continue;
        }
        int step = plan_draft_add(b, node, NULL);
        if (step != NONE) {
            b->drafts[step].output = i;
            b->drafts[step].output_source = node;
        }
    }
}
