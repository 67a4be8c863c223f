/* `initializer:`: first values of weights, by name or by distribution. */
#include "model/layers/layer.h"

#include <math.h>

/* Divisions and square roots only, which IEEE rounds one way: the same bits on every machine. */
static struct initial uniform_of(double bound)
{
    return (struct initial){.kind = INITIAL_UNIFORM, .first = -bound, .second = bound};
}

static struct initial pytorch_default(double fan_in, double fan_out)
{
    (void)fan_out;
    return uniform_of(1.0 / sqrt(fan_in));
}

static struct initial glorot_uniform(double fan_in, double fan_out)
{
    return uniform_of(sqrt(6.0 / (fan_in + fan_out)));
}

static struct initial normal_of(double deviation)
{
    return (struct initial){.kind = INITIAL_NORMAL, .second = deviation};
}

static struct initial glorot_normal(double fan_in, double fan_out)
{
    return normal_of(sqrt(2.0 / (fan_in + fan_out)));
}

static struct initial he_uniform(double fan_in, double fan_out)
{
    (void)fan_out;
    return uniform_of(sqrt(6.0 / fan_in));
}

static struct initial he_normal(double fan_in, double fan_out)
{
    (void)fan_out;
    return normal_of(sqrt(2.0 / fan_in));
}

static struct initial lecun_normal(double fan_in, double fan_out)
{
    (void)fan_out;
    return normal_of(1.0 / sqrt(fan_in));
}

static struct initial zeros(double fan_in, double fan_out)
{
    (void)fan_in;
    (void)fan_out;
    return (struct initial){.kind = INITIAL_CONSTANT};
}

static struct initial ones(double fan_in, double fan_out)
{
    (void)fan_in;
    (void)fan_out;
    return (struct initial){.kind = INITIAL_CONSTANT, .first = 1.0};
}

/* `default` and `pytorch` are the same; they stand first. */
static const char *const INITIALIZERS[] = {"default",       "pytorch",    "glorot_uniform",
                                           "glorot_normal", "he_uniform", "he_normal",
                                           "lecun_normal",  "zeros",      "ones"};
static struct initial (*const INITIALS[])(double fan_in, double fan_out) = {
    pytorch_default, pytorch_default, glorot_uniform, glorot_normal, he_uniform,
    he_normal,       lecun_normal,    zeros,          ones};
enum { INITIALIZER_COUNT = sizeof INITIALS / sizeof INITIALS[0], DEFAULTS = 2 };
_Static_assert(sizeof INITIALIZERS / sizeof INITIALIZERS[0] == INITIALIZER_COUNT, "one a name");

/* `{normal: 0.02}` or `{normal: {mean: 1, std: 0.02}}`; `{uniform: 0.05}` for -0.05 to 0.05. */
static struct initial drawn_initial(struct layer *layer, const char *key,
                                    const struct doc_node *map)
{
    static const char *const KEYS[] = {"normal", "uniform"};
    static const char *const MOMENTS[] = {"mean", "std"};
    const struct doc_node *moments = doc_get(map, "normal");
    double width = 0.0;
    bool normal = moments != NULL;
    if (layer->rc == CAM_OK) {
        layer->rc = doc_check_keys(map, key, KEYS, 2, &layer->err);
    }
    if (layer->rc == CAM_OK && normal && moments->kind == DOC_MAP) {
        struct initial initial = normal_of(1.0);
        layer->rc = doc_check_keys(moments, "normal", MOMENTS, 2, &layer->err);
        if (layer->rc == CAM_OK) {
            layer->rc = doc_read_real(moments, "mean", -1e6, 1e6, &initial.first, &layer->err);
        }
        if (layer->rc == CAM_OK) {
            layer->rc = doc_read_real(moments, "std", 0.0, 1e6, &initial.second, &layer->err);
        }
        return initial;
    }
    if (layer->rc == CAM_OK) {
        layer->rc =
            doc_read_real(map, normal ? "normal" : "uniform", 0.0, 1e6, &width, &layer->err);
    }
    return normal ? normal_of(width) : uniform_of(width);
}

struct initial layer_initializer_of(struct layer *layer, const char *key, int64_t fan_in,
                                    int64_t fan_out, bool *plain_out)
{
    const struct doc_node *node = doc_get(layer->attributes, key);
    int choice = 0;
    *plain_out = node == NULL;
    if (node != NULL && node->kind == DOC_MAP) {
        return drawn_initial(layer, key, node);
    }
    layer_read_choice(layer, key, INITIALIZERS, INITIALIZER_COUNT, &choice);
    *plain_out = choice < DEFAULTS;
    return INITIALS[choice]((double)fan_in, (double)fan_out);
}

struct initial layer_initializer(struct layer *layer, int64_t fan_in, int64_t fan_out,
                                 bool *plain_out)
{
    return layer_initializer_of(layer, "initializer", fan_in, fan_out, plain_out);
}
