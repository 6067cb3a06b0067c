/* A program in C that embeds Python: Python makes network and trainer, and a loop in C trains them.
 *
 *     cc c_host.c -I$(python -c 'import fastprop; print(fastprop.get_include())') \
 *         $(python3-config --includes --ldflags --embed) -lm -o c_host
 *
 * The network learns sin(x), one row a step. fastprop must be importable, as from PYTHONPATH. */
#include <Python.h>

#include <fastprop.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const char MADE_IN_PYTHON[] = "import fastprop as fp\n"
                                     "net = fp.Network([1, 32, 32, 1], activation='tanh', dtype='float64', seed=0)\n"
                                     "trainer = fp.Trainer(net, loss='half_mse', optimizer=fp.Adam(0.001))\n"
                                     "capsule = trainer.native().capsule\n";

static void check(const fp_handle *handle, int error)
{
    if (error) {
        fprintf(stderr, "%s\n", handle->message(error));
        exit(1);
    }
}

static double worst_error(fp_handle *handle)
{
    double worst = 0;
    for (int i = -30; i <= 30; i++) {
        double x = i / 10.0, y;
        check(handle, handle->forward(handle, &x, 1, &y));
        worst = fmax(worst, fabs(y - sin(x)));
    }
    return worst;
}

int main(void)
{
    Py_Initialize();
    PyObject *names = PyModule_GetDict(PyImport_AddModule("__main__"));
    PyObject *done = PyRun_String(MADE_IN_PYTHON, Py_file_input, names, names);
    fp_handle *handle = done ? fp_handle_of(PyDict_GetItemString(names, "capsule")) : NULL;
    if (!handle) {
        PyErr_Print();
        return 1;
    }
    Py_DECREF(done);

    PyThreadState *python = PyEval_SaveThread(); /* what follows needs no GIL */
    printf("worst error before: %.3f\n", worst_error(handle));
    srand(0);
    for (int i = 0; i < 50000; i++) {
        double x = 6.0 * rand() / RAND_MAX - 3, y = sin(x);
        check(handle, handle->step(handle, &x, &y, 1));
    }
    printf("worst error after:  %.3f\n", worst_error(handle));
    fflush(stdout);
    PyEval_RestoreThread(python);

    PyRun_SimpleString("print(f'{trainer.steps} steps, and in Python net([1.0]) is {net([1.0])[0]:.3f}')");
    return Py_FinalizeEx() != 0;
}
