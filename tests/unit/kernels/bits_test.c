/*
 * What may not change a bit of the CPU backend's results: OMP_NUM_THREADS, the alignment of
 * memory, the number of lanes; and what random numbers are.
 */
#include "../unit.h"

#include "rig.h"

#include "base/mem.h"
#include "kernels/random.h"
#include "model/graph/gradient.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* A small step of training: convolutions both ways, a dense layer, sums, exp and noise. */
static void small_network(struct rig *rig)
{
    const struct window window = {.stride = {2, 2},
                                  .pad_before = {1, 1},
                                  .pad_after = {1, 1},
                                  .dilation = {1, 1},
                                  .groups = 1};
    const struct window same = {.stride = {1, 1},
                                .pad_before = {1, 1},
                                .pad_after = {1, 1},
                                .dilation = {1, 1},
                                .groups = 1};
    const struct shape image = {.rank = 4, .dim = {6, 14, 14, 32}};
    const struct shape kernel = {.rank = 4, .dim = {4, 4, 32, 40}};
    const struct shape second = {.rank = 4, .dim = {3, 3, 40, 24}};
    const struct shape flat = {.rank = 2, .dim = {6, 7 * 7 * 24}};
    const struct shape dense = {.rank = 2, .dim = {7 * 7 * 24, 10}};
    struct graph *graph = rig->graph;
    int x = rig_input(rig, 0, &image);
    int w = rig_parameter(rig, 0, &kernel);
    x = graph_binary(graph, OP_ADD, x, graph_random(graph, OP_NORMAL, &image, 9, true));
    int y = graph_unary(graph, OP_TANH, graph_conv2d(graph, x, w, &window));
    int y2 = graph_conv2d(graph, y, rig_parameter(rig, 2, &second), &same);
    int dx = graph_conv2d_grad_input(graph, y, w, &window, &image);
    int dw = graph_conv2d_grad_weight(graph, x, y, &window, &kernel);
    int logits = graph_matmul(graph, graph_reshape(graph, y2, &flat), rig_parameter(rig, 1, &dense),
                              false, false);
    rig->outputs[0] = graph_unary(graph, OP_SOFTPLUS, logits);
    rig->outputs[1] = graph_sum(graph, graph_unary(graph, OP_EXP, graph_scale(graph, dx, 0.01)), 7);
    rig->outputs[2] = dw;
    rig->outputs[3] = graph_sum(graph, graph_binary(graph, OP_MUL, x, x), 14);
    /* Programs with rows: of 10, several a tile; of 40 * 7 * 7, longer than one. */
    int labels = rig_input(rig, 1, &(struct shape){.rank = 1, .dim = {6}});
    rig->outputs[4] = graph_softmax_xent(graph, logits, labels, 0.1);
    rig->outputs[5] = graph_standardize(graph, y, 14, 1e-5);
    gradient_append(graph, graph_sum(graph, rig->outputs[4], 3), &logits, 1, &rig->outputs[6]);
    rig->output_count = 7;
}

static double *run_network(const struct rig_place *place, int64_t *count_out)
{
    struct rig rig;
    rig_begin(&rig, 12);
    small_network(&rig);
    *count_out = rig_output_count(&rig);
    double *out = rig_run(&rig, place);
    rig_end(&rig);
    return out;
}

/* libgomp reads its environment when it is loaded, so each count gets a process. */
static double *run_with_threads(const char *threads, int64_t *count_out)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        const struct rig_place place = {.backend = "cpu", .fuse = true, .lanes = 1};
        setenv("OMP_NUM_THREADS", threads, 1);
        double *out = run_network(&place, count_out);
        size_t left = (size_t)*count_out * sizeof *out;
        const char *bytes = (const char *)out;
        while (left > 0) {
            ssize_t written = write(ends[1], bytes, left);
            if (written <= 0) {
                _exit(1);
            }
            bytes += written;
            left -= (size_t)written;
        }
        _exit(0);
    }
    close(ends[1]);
    struct rig rig;
    rig_begin(&rig, 12);
    small_network(&rig);
    *count_out = rig_output_count(&rig);
    rig_end(&rig);
    size_t size = (size_t)*count_out * sizeof(double);
    char *out = cam_alloc(1, size);
    assert_non_null(out);
    for (size_t done = 0; done < size;) {
        ssize_t got = read(ends[0], out + done, size - done);
        assert_true(got > 0);
        done += (size_t)got;
    }
    close(ends[0]);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    return (double *)(void *)out;
}

/* First, before this process has loaded the module. */
static void test_the_environment_changes_nothing(void **state)
{
    (void)state;
    static const char *const THREADS[] = {"1", "2", "7"};
    if (access(KERNEL_MODULE_DIR "/cambrian-backend-cpu.so", R_OK) != 0) {
        skip();
    }
    int64_t count = 0;
    double *first = run_with_threads(THREADS[0], &count);
    for (int i = 1; i < 3; i++) {
        double *other = run_with_threads(THREADS[i], &count);
        assert_memory_equal(first, other, (size_t)count * sizeof *first);
        cam_free(other);
    }
    cam_free(first);
}

static void test_alignment_and_lanes_change_nothing(void **state)
{
    (void)state;
    if (!rig_has_cpu()) {
        skip();
    }
    const struct rig_place first_place = {.backend = "cpu", .fuse = true, .lanes = 1};
    int64_t count = 0;
    double *first = run_network(&first_place, &count);
    for (int shift = 1; shift < 8; shift += 2) {
        struct rig_place place = first_place;
        place.misalign = shift;
        place.lanes = shift;
        double *other = run_network(&place, &count);
        assert_memory_equal(first, other, (size_t)count * sizeof *first);
        cam_free(other);
    }
    struct rig_place crowd = first_place;
    crowd.lanes = 4;
    crowd.together = true;
    double *other = run_network(&crowd, &count);
    assert_memory_equal(first, other, (size_t)count * sizeof *first);
    cam_free(other);
    cam_free(first);
}

/* Residual blocks of norm, products and noise, and the gradients of all of their weights. */
static void deep_network(struct rig *rig)
{
    enum { BLOCKS = 7, WIDTH = 24 };
    const struct shape rows = {.rank = 2, .dim = {40, WIDTH}};
    const struct shape wide = {.rank = 2, .dim = {WIDTH, 3 * WIDTH}};
    const struct shape labels = {.rank = 1, .dim = {40}};
    struct graph *graph = rig->graph;
    int weights[2 * BLOCKS];
    int x = rig_input(rig, 0, &rows);
    for (int i = 0; i < BLOCKS; i++) {
        char path[16];
        (void)snprintf(path, sizeof path, "model.%d", i);
        graph_set_path(graph, path);
        weights[2 * i] = rig_parameter(rig, 1 + 2 * i, &wide);
        weights[2 * i + 1] = rig_parameter(rig, 2 + 2 * i, &wide);
        int y = graph_standardize(graph, x, i % 3 == 2 ? 1 : 2, 1e-5);
        y = graph_unary(graph, OP_TANH, graph_matmul(graph, y, weights[2 * i], false, false));
        const struct shape hidden = graph_node(graph, y)->shape;
        int noise = graph_random(graph, OP_UNIFORM, &hidden, 50 + (uint32_t)i, true);
        int zero = graph_constant(graph, 0.25, &hidden);
        y = graph_binary(graph, OP_MUL, y, graph_binary(graph, OP_GREATER, noise, zero));
        y = graph_matmul(graph, y, weights[2 * i + 1], false, true);
        x = graph_binary(graph, OP_ADD, x, y);
    }
    int loss = graph_softmax_xent(graph, x, rig_input(rig, 2 * BLOCKS + 1, &labels), 0.0);
    loss = graph_mean(graph, loss, 3);
    rig->outputs[0] = loss;
    gradient_append(graph, loss, weights, 2 * BLOCKS, &rig->outputs[1]);
    rig->output_count = 1 + 2 * BLOCKS;
}

static void test_recomputation_changes_nothing(void **state)
{
    (void)state;
    if (!rig_has_cpu()) {
        skip();
    }
    static const char *const BACKENDS[] = {"cpu", "reference"};
    for (int i = 0; i < 2; i++) {
        struct rig_place place = {.backend = BACKENDS[i], .fuse = true, .lanes = 1};
        struct rig rig;
        rig_begin(&rig, 3);
        deep_network(&rig);
        size_t size = (size_t)rig_output_count(&rig) * sizeof(double);
        double *kept = rig_run(&rig, &place);
        place.recompute = true;
        double *again = rig_run(&rig, &place);
        assert_memory_equal(kept, again, size);
        cam_free(kept);
        cam_free(again);
        rig_end(&rig);
    }
}

static void test_fused_is_near_the_reference(void **state)
{
    (void)state;
    if (!rig_has_cpu()) {
        skip();
    }
    const struct rig_place cpu = {.backend = "cpu", .fuse = true, .lanes = 1};
    const struct rig_place plain = {.backend = "reference", .f64 = true, .lanes = 1};
    const struct rig_place fused = {.backend = "reference", .f64 = true, .fuse = true, .lanes = 1};
    int64_t count = 0;
    double *expected = run_network(&plain, &count);
    double *interpreted = run_network(&fused, &count);
    double *found = run_network(&cpu, &count);
    assert_true(rig_distance(interpreted, expected, count) < 1e-13);

    assert_true(rig_distance(found, expected, count) < 2e-6);
    cam_free(expected);
    cam_free(interpreted);
    cam_free(found);
}

static double *draw(enum op_kind op, bool by_row, const char *backend, int64_t rows,
                    int64_t columns)
{
    struct rig rig;
    rig_begin(&rig, 1);
    const struct shape shape = {.rank = 2, .dim = {rows, columns}};
    rig.outputs[0] = graph_random(rig.graph, op, &shape, 42, by_row);
    rig.output_count = 1;
    const struct rig_place place = {.backend = backend, .fuse = true, .lanes = 1};
    double *out = rig_run(&rig, &place);
    rig_end(&rig);
    return out;
}

/* Golden: base/philox under the counter that kernels/random.h states, with the rig's context. */
static void check_uniform(const char *backend, uint32_t rows, uint32_t columns)
{
    const struct random_context random = {
        .seed = 0x1234567890abcdefu, .execution = 3, .first_row = 5};
    double *by_row = draw(OP_UNIFORM, true, backend, rows, columns);
    double *whole = draw(OP_UNIFORM, false, backend, rows, columns);
    for (uint32_t i = 0; i < rows * columns; i++) {
        uint32_t words[4];
        random_block(&random, 42, 5 + i / columns, i % columns, words);
        assert_true(by_row[i] == (double)(words[i % columns % 4] >> 8) * RANDOM_UNIT);
        random_block(&random, 42, 0, i, words);
        assert_true(whole[i] == (double)(words[i % 4] >> 8) * RANDOM_UNIT);
    }
    cam_free(by_row);
    cam_free(whole);
}

static void test_uniform_is_philox(void **state)
{
    (void)state;
    static const uint32_t COLUMNS[] = {1, 3, 4, 13, 72, 1000, 1030, 4100};
    for (size_t i = 0; i < sizeof COLUMNS / sizeof COLUMNS[0]; i++) {
        check_uniform("reference", 3, COLUMNS[i]);
        if (rig_has_cpu()) {
            check_uniform("cpu", 3, COLUMNS[i]);
        }
    }
}

static void test_normal_moments(void **state)
{
    (void)state;
    enum { ROWS = 64, COLUMNS = 1001 };
    const double count = (double)ROWS * (double)COLUMNS;
    double *values = draw(OP_NORMAL, true, rig_has_cpu() ? "cpu" : "reference", ROWS, COLUMNS);
    double sum[5] = {0};
    for (int i = 0; i < ROWS * COLUMNS; i++) {
        double power = 1.0;
        for (int k = 1; k <= 4; k++) {
            power *= values[i];
            sum[k] += power / count;
        }
    }
    /* Standard errors: 1, sqrt 2, sqrt 15, sqrt 96 over sqrt(count) = 253; five of each. */
    assert_true(sum[1] < 0.02 && sum[1] > -0.02);
    assert_true(sum[2] < 1.03 && sum[2] > 0.97);
    assert_true(sum[3] < 0.08 && sum[3] > -0.08);
    assert_true(sum[4] < 3.2 && sum[4] > 2.8);
    cam_free(values);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_environment_changes_nothing),
        cmocka_unit_test(test_alignment_and_lanes_change_nothing),
        cmocka_unit_test(test_recomputation_changes_nothing),
        cmocka_unit_test(test_fused_is_near_the_reference),
        cmocka_unit_test(test_uniform_is_philox),
        cmocka_unit_test(test_normal_moments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
