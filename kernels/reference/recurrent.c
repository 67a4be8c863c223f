/* The recurrent macros, one element at a time; what they are: model/graph/op_recurrent.c. */
#include "kernels/reference/kernel.h"

#include <math.h>

static double sigmoid(double x)
{
    return 1.0 / (1.0 + exp(-x));
}

/* Element (t, sample, part * size + unit) of a sequence of `parts` parts. */
struct sequence {
    const struct operand *data;
    int64_t samples;
    int64_t size;
    int64_t parts;
};

static struct sequence sequence_of(const struct operand *data, int64_t size)
{
    return (struct sequence){data, data->shape.dim[1], size, data->shape.dim[2] / size};
}

static int64_t at(const struct sequence *s, int64_t t, int64_t sample, int64_t part, int64_t unit)
{
    return ((t * s->samples + sample) * s->parts + part) * s->size + unit;
}

static double get(const struct sequence *s, int64_t t, int64_t sample, int64_t part, int64_t unit)
{
    return t < 0 ? 0.0 : operand_get(s->data, at(s, t, sample, part, unit));
}

static void set(const struct sequence *s, int64_t t, int64_t sample, int64_t part, int64_t unit,
                double value)
{
    operand_set(s->data, at(s, t, sample, part, unit), value);
}

/* (h w) of the hidden states of step t, at column part * size + unit. */
static double hidden_product(const struct sequence *out, const struct operand *w, int64_t t,
                             int64_t sample, int64_t part, int64_t unit)
{
    double sum = 0.0;
    int64_t columns = w->shape.dim[1];
    for (int64_t k = 0; k < out->size && t >= 0; k++) {
        sum += get(out, t, sample, 0, k) * operand_get(w, k * columns + part * out->size + unit);
    }
    return sum;
}

/* (d w') at a hidden unit: d's parts from `first` on are the columns of w. */
static double gate_product(const struct sequence *d, const struct operand *w, int64_t t,
                           int64_t sample, const int64_t *part_of, int64_t unit)
{
    double sum = 0.0;
    int64_t columns = w->shape.dim[1];
    for (int64_t c = 0; c < columns; c++) {
        sum += get(d, t, sample, part_of[c / d->size], c % d->size) *
               operand_get(w, unit * columns + c);
    }
    return sum;
}

void reference_lstm(const struct kernel_call *call)
{
    int64_t size = call->input[1].shape.dim[0];
    struct sequence x = sequence_of(&call->input[0], size);
    struct sequence out = sequence_of(&call->output, size);
    for (int64_t t = 0; t < x.data->shape.dim[0]; t++) {
        for (int64_t n = 0; n < x.samples; n++) {
            for (int64_t u = 0; u < size; u++) {
                double gate[4];
                for (int k = 0; k < 4; k++) {
                    double before =
                        get(&x, t, n, k, u) + hidden_product(&out, &call->input[1], t - 1, n, k, u);
                    gate[k] = k == 2 ? tanh(before) : sigmoid(before);
                    set(&out, t, n, 2 + k, u, gate[k]);
                }
                double c = gate[1] * get(&out, t - 1, n, 1, u) + gate[0] * gate[2];
                set(&out, t, n, 1, u, c);
                set(&out, t, n, 0, u, gate[3] * tanh(c));
            }
        }
    }
}

void reference_lstm_grad(const struct kernel_call *call)
{
    static const int64_t PARTS[] = {0, 1, 2, 3};
    int64_t size = call->input[1].shape.dim[0];
    int64_t steps = call->output.shape.dim[0];
    struct sequence kept = sequence_of(&call->input[0], size);
    struct sequence dh = sequence_of(&call->input[2], size);
    struct sequence d = sequence_of(&call->output, size);
    for (int64_t n = 0; n < kept.samples; n++) {
        for (int64_t t = steps - 1; t >= 0; t--) {
            for (int64_t u = 0; u < size; u++) {
                double arriving = get(&dh, t, n, 0, u);
                double dc = 0.0;
                if (t + 1 < steps) {
                    /* dc of the step behind is in its gates: its d of f = dc c f (1 - f). */
                    arriving += gate_product(&d, &call->input[1], t + 1, n, PARTS, u);
                }
                /* Carried along the cell: summed anew from the end, each time. */
                for (int64_t s = steps - 1; s >= t; s--) {
                    double bent = tanh(get(&kept, s, n, 1, u));
                    double at_s = s == t ? arriving : get(&dh, s, n, 0, u);
                    if (s > t && s + 1 < steps) {
                        at_s += gate_product(&d, &call->input[1], s + 1, n, PARTS, u);
                    }
                    dc = (s + 1 < steps ? dc * get(&kept, s + 1, n, 3, u) : 0.0) +
                         at_s * get(&kept, s, n, 5, u) * (1.0 - bent * bent);
                }
                double i = get(&kept, t, n, 2, u);
                double f = get(&kept, t, n, 3, u);
                double g = get(&kept, t, n, 4, u);
                double o = get(&kept, t, n, 5, u);
                set(&d, t, n, 0, u, dc * g * i * (1.0 - i));
                set(&d, t, n, 1, u, dc * get(&kept, t - 1, n, 1, u) * f * (1.0 - f));
                set(&d, t, n, 2, u, dc * i * (1.0 - g * g));
                set(&d, t, n, 3, u, arriving * tanh(get(&kept, t, n, 1, u)) * o * (1.0 - o));
            }
        }
    }
}

void reference_gru(const struct kernel_call *call)
{
    int64_t size = call->input[1].shape.dim[0];
    struct sequence x = sequence_of(&call->input[0], size);
    struct sequence out = sequence_of(&call->output, size);
    for (int64_t t = 0; t < x.data->shape.dim[0]; t++) {
        for (int64_t n = 0; n < x.samples; n++) {
            for (int64_t u = 0; u < size; u++) {
                double product[3];
                for (int k = 0; k < 3; k++) {
                    product[k] = hidden_product(&out, &call->input[1], t - 1, n, k, u);
                }
                double r = sigmoid(get(&x, t, n, 0, u) + product[0]);
                double z = sigmoid(get(&x, t, n, 1, u) + product[1]);
                double inner = product[2] + operand_get(&call->input[2], u);
                double fresh = tanh(get(&x, t, n, 2, u) + r * inner);
                set(&out, t, n, 0, u, (1.0 - z) * fresh + z * get(&out, t - 1, n, 0, u));
                set(&out, t, n, 1, u, r);
                set(&out, t, n, 2, u, z);
                set(&out, t, n, 3, u, fresh);
                set(&out, t, n, 4, u, inner);
            }
        }
    }
}

/* What reaches the hidden state of step t from the steps behind it: z dh of the next, and the
 * products' part. */
static double gru_arriving(const struct kernel_call *call, const struct sequence *kept,
                           const struct sequence *dh, const struct sequence *d, int64_t t,
                           int64_t n, int64_t u)
{
    static const int64_t PARTS[] = {0, 1, 3};
    double sum = 0.0;
    for (int64_t s = call->output.shape.dim[0] - 1; s >= t; s--) {
        bool last = s + 1 == call->output.shape.dim[0];
        sum =
            get(dh, s, n, 0, u) + (last ? 0.0
                                        : sum * get(kept, s + 1, n, 2, u) +
                                              gate_product(d, &call->input[1], s + 1, n, PARTS, u));
    }
    return sum;
}

void reference_gru_grad(const struct kernel_call *call)
{
    int64_t size = call->input[1].shape.dim[0];
    struct sequence kept = sequence_of(&call->input[0], size);
    struct sequence dh = sequence_of(&call->input[2], size);
    struct sequence d = sequence_of(&call->output, size);
    for (int64_t n = 0; n < kept.samples; n++) {
        for (int64_t t = call->output.shape.dim[0] - 1; t >= 0; t--) {
            for (int64_t u = 0; u < size; u++) {
                double arriving = gru_arriving(call, &kept, &dh, &d, t, n, u);
                double r = get(&kept, t, n, 1, u);
                double z = get(&kept, t, n, 2, u);
                double fresh = get(&kept, t, n, 3, u);
                double dn = arriving * (1.0 - z) * (1.0 - fresh * fresh);
                set(&d, t, n, 0, u, dn * get(&kept, t, n, 4, u) * r * (1.0 - r));
                set(&d, t, n, 1, u,
                    arriving * (get(&kept, t - 1, n, 0, u) - fresh) * z * (1.0 - z));
                set(&d, t, n, 2, u, dn);
                set(&d, t, n, 3, u, dn * r);
            }
        }
    }
}
