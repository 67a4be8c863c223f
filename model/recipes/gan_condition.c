/*
 * Classes: `gan: {conditional: true}`.
 *
 *   generator      reads labels too.  A layer may name the input `label`; where none does, the
 * latent vector is followed by a trained embedding of the label, of its own length discriminator
 * likewise by name; else it is a projection discriminator (Miyato, Koyama 2018, equation 3): logit
 * + <embedding of the label, features>, features being what its last dense layer reads
 *
 * Real samples bring their labels.  Those of generated ones are drawn, each class as likely; a loss
 * of pairs compares with the real sample's class instead, since it compares samples.  On the way
 * between samples (gradient_penalty, dragan) labels are those of the real ones.
 */
#include "model/recipes/gan.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Whether a layer within these attributes, as those of residual, has `input: label`; `input` says
 * that the node is the value of such a key. */
static bool attributes_name_label(const struct doc_node *node, bool input)
{
    if (node == NULL) {
        return false;
    }
    if (node->kind == DOC_SCALAR) {
        return input && node->text != NULL && strcmp(node->text, "label") == 0;
    }
    for (size_t i = 0; i < node->count; i++) {
        bool of_input = node->kind == DOC_MAP ? strcmp(node->keys[i], "input") == 0 : input;
        if (attributes_name_label(node->items[i], of_input)) {
            return true;
        }
    }
    return false;
}

static bool names_label(const struct part_spec *spec)
{
    for (int i = 0; i < spec->layer_count; i++) {
        for (int k = 0; k < spec->layers[i].input_count; k++) {
            if (strcmp(spec->layers[i].inputs[k], "label") == 0) {
                return true;
            }
        }
        if (attributes_name_label(spec->layers[i].attributes, false)) {
            return true;
        }
    }
    return false;
}

/* A row of the table PART.name.weight for each label, (N,units). */
static enum cam_code embed(struct training_build *build, const struct part_call *call,
                           const struct tensor_wish *table, int *node_out)
{
    char name[128];
    int slot = 0;
    struct tensor_wish wish = *table;
    (void)snprintf(name, sizeof name, "%s.%s.weight", call->spec->name, table->name);
    wish.name = name;
    wish.part = call->part;
    enum cam_code rc = tensors_parameter(call->tensors, &wish, &slot, build->err);
    if (rc != CAM_OK) {
        return rc;
    }
    graph_set_path(call->graph, name);
    int leaf = call->parameters != NULL ? call->parameters[slot]
                                        : graph_leaf(call->graph, OP_PARAMETER, slot, &wish.shape);
    *node_out = graph_gather(call->graph, leaf, call->label);
    return CAM_OK;
}

/* Latent vector and embedding behind one another. */
static enum cam_code join_label(struct training_build *build, const struct part_call *call,
                                int *input)
{
    int nodes[2] = {*input, NODE_NONE};
    const struct tensor_wish table = {
        .name = "label_embedding",
        .shape = {.rank = 2, .dim = {build->data->classes, build->job->latent}},
        .initial = {.kind = INITIAL_NORMAL, .second = 1.0},
    };
    enum cam_code rc = embed(build, call, &table, &nodes[1]);
    if (rc == CAM_OK) {
        *input = graph_concat(call->graph, nodes, 2, 1);
    }
    return rc;
}

static enum cam_code project(struct training_build *build, const struct part_call *call,
                             int *logits)
{
    struct graph *graph = call->graph;
    int rows = NODE_NONE;
    const struct shape *features =
        call->features_known ? &graph_node(graph, call->features)->shape : NULL;
    if (features == NULL || features->rank != 2) {
        return doc_fail(build->job->file_name, call->spec->line, build->err,
                        "discriminator has no dense layer over features in a row, which "
                        "gan.conditional projects the class on: end it with flatten and "
                        "dense: {units: 1}, or read the input label in one of its layers");
    }
    int64_t width = features->dim[1];
    double bound = sqrt(6.0 / (double)(build->data->classes + width));
    const struct tensor_wish table = {
        .name = "label_projection",
        .shape = {.rank = 2, .dim = {build->data->classes, width}},
        .layout = call->features_image[0] != 0 ? EXPORT_TABLE_OF_IMAGES : EXPORT_SAME,
        .image = call->features_image[0] != 0 ? call->features_image : NULL,
        .initial = {.kind = INITIAL_UNIFORM, .first = -bound, .second = bound},
    };
    enum cam_code rc = embed(build, call, &table, &rows);
    if (rc == CAM_OK) {
        int product = graph_sum(graph, graph_binary(graph, OP_MUL, rows, call->features), 2u);
        const struct shape shape = graph_node(graph, *logits)->shape;
        *logits = graph_binary(graph, OP_ADD, *logits, graph_reshape(graph, product, &shape));
    }
    return rc;
}

/* While tensors are declared there is no phase that has labels. */
static void declare_label(const struct training_build *build, struct part_call *call)
{
    const struct shape shape = {.rank = 1, .dim = {build->training->rows}};
    if (!call->labelled) {
        call->label = graph_leaf(call->graph, OP_INPUT, 1, &shape);
        call->labelled = true;
    }
}

enum cam_code gan_build_part(struct training_build *build, struct part_call *call, int input,
                             int *node_out)
{
    bool by_name = names_label(call->spec);
    bool generator = strcmp(call->spec->name, "generator") == 0;
    enum cam_code rc = CAM_OK;
    declare_label(build, call);
    if (generator && !by_name) {
        rc = join_label(build, call, &input);
    }
    rc = rc == CAM_OK ? part_build(call, input, node_out, build->err) : rc;
    rc = rc == CAM_OK ? build_check_tables(build, call->part, call->graph, call->label,
                                           build->data->classes, TABLE_CLASSES)
                      : rc;
    return rc == CAM_OK && !generator && !by_name ? project(build, call, node_out) : rc;
}

enum cam_code gan_read_condition(struct gan *gan)
{
    struct training_build *build = gan->build;
    struct training *training = build->training;
    if (!build->job->gan.conditional) {
        return CAM_OK;
    }
    if (build->data->classes < 1) {
        return jobfile_fail(build->job, "gan.conditional", build->err,
                            "gan.conditional is true, the data have no classes: give data.labels");
    }
    gan->conditional = true;
    build->build_part = gan_build_part;
    build->inputs[training->input_count++] =
        (struct input_info){.name = "label", .shape = {.rank = 1, .dim = {training->rows}}};
    return CAM_OK;
}

int gan_real_labels(const struct gan *gan, struct phase_build *phase)
{
    const struct shape shape = {.rank = 1, .dim = {gan->build->training->rows}};
    return gan->conditional ? graph_leaf(phase->graph, OP_INPUT, 1, &shape) : NODE_NONE;
}

enum cam_code gan_drawn_labels(const struct gan *gan, struct phase_build *phase, int *node_out)
{
    struct training_build *build = gan->build;
    const struct shape shape = {.rank = 1, .dim = {build->training->rows}};
    char name[64];
    uint32_t stream = 0;
    *node_out = NODE_NONE;
    if (!gan->conditional) {
        return CAM_OK;
    }
    if (gan->loss->pairs) {
        *node_out = gan_real_labels(gan, phase);
        return CAM_OK;
    }
    (void)snprintf(name, sizeof name, "%s/label/0", phase->name);
    enum cam_code rc = streams_take(&build->streams, name, &stream, build->err);
    if (rc == CAM_OK) {
        graph_set_path(phase->graph, "label");
        int uniform = graph_random(phase->graph, OP_UNIFORM, &shape, stream, true);
        *node_out = graph_unary(phase->graph, OP_FLOOR,
                                graph_scale(phase->graph, uniform, (double)build->data->classes));
    }
    return rc;
}

int64_t gan_sample_rows(const struct gan *gan)
{
    int64_t classes = gan->build->data->classes;
    if (!gan->conditional) {
        return sample_is_point(&gan->image) ? SAMPLE_POINTS : SAMPLES;
    }
    return SAMPLE_COLUMNS * (classes < SAMPLE_CLASSES_MAX ? classes : SAMPLE_CLASSES_MAX);
}

void gan_sample_labels(const struct gan *gan, struct phase_build *phase, int *latent, int *label)
{
    struct graph *graph = phase->graph;
    int64_t rows = gan_sample_rows(gan);
    int64_t size = gan->latent.dim[1];
    *label = NODE_NONE;
    if (!gan->conditional) {
        return;
    }
    const struct shape line = {.rank = 1, .dim = {rows}};
    const struct shape first = {.rank = 2, .dim = {SAMPLE_COLUMNS, size}};
    const struct shape one = {.rank = 3, .dim = {1, SAMPLE_COLUMNS, size}};
    const struct shape all = {.rank = 3, .dim = {rows / SAMPLE_COLUMNS, SAMPLE_COLUMNS, size}};
    const struct shape flat = {.rank = 2, .dim = {rows, size}};
    const int64_t start[SHAPE_RANK_MAX] = {0};
    int kept = graph_reshape(graph, graph_slice(graph, *latent, start, &first), &one);
    *latent = graph_reshape(graph, graph_broadcast(graph, kept, &all), &flat);
    int place = graph_scale(graph, graph_iota(graph, &line, 0), 1.0 / SAMPLE_COLUMNS);
    *label = graph_unary(graph, OP_FLOOR, place);
}
