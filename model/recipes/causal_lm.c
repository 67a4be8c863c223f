/*
 * Recipe causal_lm: the next token of every place of a window of text, by softmax cross-entropy
 * over logits (N,T,tokens); the layers must not look ahead (causal attention, a recurrent layer).
 *
 * `loss` is the mean over tokens, in nats; bits_per_character (or bits_per_byte, as the vocabulary
 * is) is the same in bits.
 */
#include "model/recipes/supervised.h"

#define BITS_A_NAT 1.44269504088896340736

static int bits(const struct judged *judged)
{
    return graph_scale(judged->graph, judged->loss, BITS_A_NAT);
}

static const struct supervised_metric METRICS[VOCABULARY_COUNT] = {
    [VOCABULARY_CHARACTERS] = {"bits_per_character", "val_bits_per_character", bits},
    [VOCABULARY_BYTES] = {"bits_per_byte", "val_bits_per_byte", bits},
};

/* Such a network learns to copy; layers that look ahead by other ways are not found. */
static void warn_of_attention(struct training_build *build)
{
    const struct graph *graph = build->phases[0].graph;
    struct training *training = build->training;
    for (int i = 0; i < graph_count(graph); i++) {
        const struct node *node = graph_node(graph, i);
        if (node->op == OP_ATTENTION && !node->attr.causal && training->warning_count == 0) {
            const char *text = cam_arena_printf(build->arena,
                                                "%s sees the tokens that it is to foretell; it "
                                                "should be causal: true",
                                                node->path);
            build->warnings[training->warning_count++] = text == NULL ? "" : text;
        }
    }
}

enum cam_code causal_lm_build(struct training_build *build)
{
    const struct data_shape *data = build->data;
    int64_t rows = build->training->rows;
    struct supervised recipe = {
        .build = build,
        .input_name = "text",
        .input = {.rank = 2, .dim = {rows, data->length}},
        .label = {.rank = 2, .dim = {rows, data->length}},
        .classes = data->classes,
        .hint = "dense: {units: TOKENS}",
        .metrics = &METRICS[build->job->data.vocabulary],
        .metric_count = 1,
    };
    enum cam_code rc = supervised_build(&recipe);
    if (rc == CAM_OK) {
        warn_of_attention(build);
    }
    return rc;
}
