/*
 * Every layer of the table: its shape, its parameters and their count, its gradient against finite
 * differences, and what it refuses.  A row of the table without a case fails.
 */
#include "../unit.h"

#include "layers_cases.h"
#include "layers_rig.h"

#include <math.h>

static void test_every_layer_has_a_case(void **state)
{
    (void)state;
    size_t count = 0;
    const char *const *names = layer_names(&count);
    for (size_t i = 0; i < count; i++) {
        bool found = false;
        for (int k = 0; k < CASE_COUNT; k++) {
            found = found || strcmp(CASES[k].type, names[i]) == 0;
        }
        if (!found) {
            fail_msg("layer %s has no case here", names[i]);
        }
    }
}

/* Training and evaluation give one shape and one set of tensors. */
static void test_shapes_and_counts(void **state)
{
    (void)state;
    for (int k = 0; k < 2 * CASE_COUNT; k++) {
        const struct layer_case *c = &CASES[k / 2];
        struct built b = build_layers(c->list, &c->in, k % 2 == 0);
        run_layers(&b);
        if (b.rc != CAM_OK) {
            fail_msg("%s: %s", c->list, b.err.text);
        }
        const struct shape *out = &graph_node(b.graph, b.out)->shape;
        int64_t parameters = count_tensors(&b.tensors.parameters);
        int64_t buffers = count_tensors(&b.tensors.buffers);
        if (!shape_equal(out, &c->out) || parameters != c->parameters || buffers != c->buffers) {
            char text[96];
            fail_msg("%s gives %s with %d parameters, %d in buffers", c->list,
                     shape_text(out, text, sizeof text), (int)parameters, (int)buffers);
        }
        release_layers(&b);
    }
}

/* Numbers for everything that a list reads; `step` moves them along one direction. */
struct point {
    double *parameters;
    double *buffers;
    double *input;
};

static void fill(double *out, int64_t count, uint64_t seed, double step, uint64_t direction)
{
    for (int64_t i = 0; i < count; i++) {
        out[i] = next_number(&seed) + step * next_number(&direction);
    }
}

static struct values point_at(const struct built *b, const struct layer_case *c, double step,
                              struct point *p)
{
    int64_t inputs = shape_count(&c->in);
    uint64_t seed = 4;
    fill(p->parameters, b->tensors.parameters.floats, 11, step, 21);
    fill(p->buffers, b->tensors.buffers.floats, 12, 0.0, 22);
    for (int64_t i = 0; i < b->tensors.buffers.floats; i++) {
        p->buffers[i] = fabs(p->buffers[i]) + 0.1;
    }
    fill(p->input, inputs, 13, step, 23);
    for (int64_t i = 0; c->tokens > 0 && i < inputs; i++) {
        p->input[i] = floor((next_number(&seed) + 1.0) / 2.0 * (double)c->tokens);
    }
    return (struct values){p->parameters, p->buffers, p->input};
}

/* The sum of the outputs, each times a number of its own: a loss that no layer makes constant. */
static int loss_of(const struct built *b)
{
    const struct shape shape = graph_node(b->graph, b->out)->shape;
    int weights = graph_random(b->graph, OP_UNIFORM, &shape, 77, false);
    return graph_sum(b->graph, graph_binary(b->graph, OP_MUL, b->out, weights),
                     (1u << shape.rank) - 1u);
}

/* d loss along the direction: by the gradient's nodes, then by the difference of two losses. */
static void check_gradient(struct built *b, const struct layer_case *c)
{
    enum { NODES_MAX = 64 };
    const double step = 1e-6;
    const struct tensor_table *table = &b->tensors.parameters;
    struct point p = {.parameters = cam_alloc((size_t)table->floats + 16, sizeof(double)),
                      .buffers = cam_alloc((size_t)b->tensors.buffers.floats + 16, sizeof(double)),
                      .input = cam_alloc((size_t)shape_count(&c->in) + 16, sizeof(double))};
    int wrt[NODES_MAX] = {b->input};
    int nodes[NODES_MAX];
    int64_t size = shape_count(&c->in);
    for (int i = 0; i < table->count; i++) {
        wrt[1 + i] = graph_leaf(b->graph, OP_PARAMETER, i, &table->rows[i].shape);
        size += shape_count(&table->rows[i].shape);
    }
    int loss = gradient_append(b->graph, loss_of(b), wrt, 1 + table->count, nodes);
    double *gradient = cam_alloc((size_t)size, sizeof *gradient);
    struct values values = point_at(b, c, 0.0, &p);
    run_nodes(b, &values, nodes, 1 + table->count, gradient);
    double found = 0.0;
    uint64_t direction = 23;
    double *next = gradient;
    for (int64_t i = 0; i < shape_count(&c->in); i++, next++) {
        found += c->tokens > 0 ? 0.0 : *next * next_number(&direction);
    }
    for (int i = 0; i < table->count; i++) {
        direction = 21;
        for (int64_t k = 0; k < table->rows[i].offset; k++) {
            (void)next_number(&direction);
        }
        for (int64_t k = 0; k < shape_count(&table->rows[i].shape); k++, next++) {
            found += *next * next_number(&direction);
        }
    }
    double after = 0.0;
    double before = 0.0;
    values = point_at(b, c, step, &p);
    run_nodes(b, &values, &loss, 1, &after);
    values = point_at(b, c, -step, &p);
    run_nodes(b, &values, &loss, 1, &before);
    double wanted = (after - before) / (2.0 * step);
    if (!(fabs(found - wanted) <= 1e-6 * (1.0 + fabs(wanted)))) {
        fail_msg("%s: the gradient gives %.10g, differences %.10g", c->list, found, wanted);
    }
    cam_free(p.parameters);
    cam_free(p.buffers);
    cam_free(p.input);
    cam_free(gradient);
}

static void test_gradients(void **state)
{
    (void)state;
    for (int k = 0; k < 2 * CASE_COUNT; k++) {
        const struct layer_case *c = &CASES[k / 2];
        struct built b = build_layers(c->list, &c->in, k % 2 == 0);
        run_layers(&b);
        ASSERT_OK(b.rc, b.err);
        check_gradient(&b, c);
        release_layers(&b);
    }
}

static void test_values(void **state)
{
    (void)state;
    for (size_t k = 0; k < sizeof VALUES / sizeof VALUES[0]; k++) {
        double input[16];
        double found[16];
        double parameters[64];
        struct built b = build_layers(VALUES[k].list, &VALUES[k].in, true);
        run_layers(&b);
        ASSERT_OK(b.rc, b.err);
        for (int i = 0; i < 16; i++) {
            input[i] = VALUES[k].first + i * VALUES[k].step;
        }
        for (int i = 0; i < 64; i++) { /* gains of 1, then biases of 0 */
            parameters[i] = i < 16 ? 1.0 : 0.0;
        }
        const struct values values = {
            .parameters = parameters, .buffers = parameters, .input = input};
        run_nodes(&b, &values, &b.out, 1, found);
        for (int64_t i = 0; i < shape_count(&graph_node(b.graph, b.out)->shape); i++) {
            if (!(fabs(found[i] - VALUES[k].out[i]) <= 1e-9)) {
                fail_msg("%s[%d] is %.16g, not %.16g", VALUES[k].list, (int)i, found[i],
                         VALUES[k].out[i]);
            }
        }
        release_layers(&b);
    }
}

/* Memory ends at any node of the graph: arenas ask for it in blocks, so some of one is taken away
 * first, and then no block more is given, or one. */
static void test_memory_short_is_an_error(void **state)
{
    (void)state;
    enum { BLOCK_BYTES = 16 * 1024, NODE_BYTES = 400 };
    for (int k = 0; k < CASE_COUNT; k++) {
        int short_of = 0;
        for (size_t taken = 0; taken < BLOCK_BYTES; taken += NODE_BYTES) {
            struct built b = build_layers(CASES[k].list, &CASES[k].in, true);
            (void)cam_arena_alloc(graph_arena(b.graph), 1, taken);
            cam_fault_after(taken / NODE_BYTES % 2 == 0 ? 0 : 1);
            run_layers(&b);
            cam_fault_after(-1);
            if (b.rc != CAM_OK && b.rc != CAM_NO_MEMORY) {
                fail_msg("%s, %zu bytes taken: %s", CASES[k].list, taken, b.err.text);
            }
            short_of += b.rc == CAM_NO_MEMORY ? 1 : 0;
            release_layers(&b);
        }
        assert_true(short_of > 0);
    }
}

/* Lists with a few letters changed: built or refused in words, never a crash. */
static void test_damaged_lists(void **state)
{
    (void)state;
    static const char LETTERS[] = "0123456789-.[]{}:, ae";
    uint64_t random = 9;
    int built = 0;
    for (int i = 0; i < 60 * CASE_COUNT; i++) {
        const struct layer_case *c = &CASES[i % CASE_COUNT];
        char list[512];
        assert_true(strlen(c->list) < sizeof list);
        strcpy(list, c->list);
        for (int k = 0; k < 1 + i % 2; k++) {
            (void)next_number(&random);
            char *letter = &list[6 + (random >> 33) % (strlen(list) - 7)];
            bool digit = *letter >= '0' && *letter <= '9';
            *letter = *letter == '\n' ? '\n'
                      : digit         ? LETTERS[(random >> 20) % 10]
                                      : LETTERS[(random >> 20) % (sizeof LETTERS - 1)];
        }
        struct built b = build_layers(list, &c->in, i % 3 == 0);
        run_layers(&b);
        built += b.rc == CAM_OK ? 1 : 0;
        if (b.rc != CAM_OK &&
            (b.rc != CAM_INVALID || strncmp(b.err.text, "job.yaml:", strlen("job.yaml:")) != 0)) {
            fail_msg("%s: %s\nof\n%s", cam_code_name(b.rc), b.err.text, list);
        }
        release_layers(&b);
    }
    assert_true(built > CASE_COUNT);
}

static void test_names_in_residual_layers(void **state)
{
    (void)state;
    static const char *const NAMES[] = {
        "generator.block.first.weight",      "generator.block.first.bias",
        "generator.block.1.0.weight",        "generator.block.1.0.bias",
        "generator.block.shortcut.0.weight",
    };
    const struct layer_case *c = CASES;
    while (strstr(c->list, "name: block") == NULL) {
        c++;
    }
    struct built b = build_layers(c->list, &c->in, true);
    run_layers(&b);
    ASSERT_OK(b.rc, b.err);
    assert_int_equal(b.tensors.parameters.count, sizeof NAMES / sizeof NAMES[0]);
    for (int i = 0; i < b.tensors.parameters.count; i++) {
        assert_string_equal(b.tensors.parameters.rows[i].name, NAMES[i]);
    }
    release_layers(&b);
}

static void check_refusal(const char *list, const struct shape *in, const char *line,
                          const char *words)
{
    struct built b = build_layers(list, in, true);
    char start[32];
    (void)snprintf(start, sizeof start, "job.yaml:%s", line);
    run_layers(&b);
    if (b.rc != CAM_INVALID || strncmp(b.err.text, start, strlen(start)) != 0 ||
        strstr(b.err.text, words) == NULL) {
        fail_msg("%s: wanted %s...%s, found %s", list, start, words, b.err.text);
    }
    release_layers(&b);
}

static void test_refusals(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof REFUSALS / sizeof REFUSALS[0]; i++) {
        check_refusal(REFUSALS[i].list, &REFUSALS[i].in, REFUSALS[i].line, REFUSALS[i].words);
    }
}

/* Each row refuses a key that is none of its own, and more inputs than it takes. */
static void test_every_layer_refuses_unknown_keys(void **state)
{
    (void)state;
    const struct shape row = ROW;
    size_t count = 0;
    const char *const *names = layer_names(&count);
    for (size_t i = 0; i < count; i++) {
        char list[128];
        char words[128];
        (void)snprintf(list, sizeof list, "    - %s: {nonsense: 1}\n", names[i]);
        (void)snprintf(words, sizeof words, "unknown key 'nonsense' of %s", names[i]);
        check_refusal(list, &row, "6: ", words);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_layer_has_a_case),
        cmocka_unit_test(test_shapes_and_counts),
        cmocka_unit_test(test_gradients),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_memory_short_is_an_error),
        cmocka_unit_test(test_damaged_lists),
        cmocka_unit_test(test_names_in_residual_layers),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_every_layer_refuses_unknown_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
