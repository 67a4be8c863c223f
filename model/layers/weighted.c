/* What follows the product in every weighted layer: spectral norm, bias, norm, activation. */
#include "model/layers/layer.h"

/* `norm:`; a norm over places takes any bias away again, so there is none by default. */
static const struct {
    bool has_bias;
    int (*apply)(struct layer *layer, int x, const struct norm_options *options);
} NORM_ROWS[] = {
    {true, NULL},
    {false, batch_norm_apply},
    {true, layer_norm_apply},
    {false, instance_norm_apply},
};
static const char *const NORMS[] = {"none", "batch", "layer", "instance"};
enum { NORM_COUNT = sizeof NORMS / sizeof NORMS[0], NORM_INSTANCE = 3 };
_Static_assert(sizeof NORM_ROWS / sizeof NORM_ROWS[0] == NORM_COUNT, "one a name");

bool layer_leaves_logits(const struct layer *layer)
{
    return layer->call->logits && layer->scope->outer == NULL &&
           layer->position == layer->scope->count - 1;
}

static int add_bias(struct layer *layer, int x, const struct weighted_tail *tail)
{
    bool image = layer->out.image[0] != 0;
    const struct layer_tensor bias = {.suffix = "bias",
                                      .shape = {.rank = 1, .dim = {tail->units}},
                                      .layout = image ? EXPORT_VECTOR_TO_IMAGE : EXPORT_SAME,
                                      .image = image ? layer->out.image : NULL,
                                      .initial = tail->bias};
    return graph_binary(layer->call->graph, OP_ADD, x, layer_parameter(layer, &bias));
}

void weighted_finish(struct layer *layer, int product, const struct weighted_tail *tail)
{
    size_t count = 0;
    const char *const *names = activation_names(&count);
    int norm = 0;
    int activation = 0;
    int y = spectral_norm_apply(layer, product, tail->weight, tail->axis);
    layer_read_choice(layer, "norm", NORMS, NORM_COUNT, &norm);
    layer_read_choice(layer, "activation", names, count, &activation);
    bool bias = NORM_ROWS[norm].has_bias;
    layer_read_bool(layer, "use_bias", &bias);
    if (bias) {
        y = add_bias(layer, y, tail);
    }
    if (norm != 0) {
        struct norm_options options = norm_defaults("norm.");
        options.affine = norm != NORM_INSTANCE;
        y = NORM_ROWS[norm].apply(layer, y, &options);
    }
    if (!(activation_is_sigmoid(activation) && layer_leaves_logits(layer))) {
        y = activation_apply(layer, y, activation, "activation.");
    }
    layer->out.node = y;
}
