# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
"""
# Weight initialization

This is a PyTorch lecture note on weight initialisation, with its sections in their order, in JAX next to PyTorch. Every
claim has a figure. The cells train only briefly. Where a figure needs many trainings, it draws the recorded
numbers of [study/numbers.json](study/numbers.json). The guide [weight-initialization.md](weight-initialization.md) has the
same numbers and more words, and the page [explore/index.html](explore/index.html) lets you choose the settings yourself.

PyTorch 강의 노트를 원래의 순서대로 따라가면서, JAX 코드를 PyTorch 코드 옆에 나란히 보여 줍니다. 모든 주장에는 그림이 있습니다. 이 노트북의
셀은 짧게만 학습합니다. 긴 학습이 필요한 그림은 [study/numbers.json](study/numbers.json)에 기록된 숫자로 그립니다. 같은 숫자를 더 자세히 설명한
글은 [weight-initialization.md](weight-initialization.md)에 있고, [explore/index.html](explore/index.html)에서는 설정을 직접 골라 볼 수 있습니다.

## In a minute

| Question | Answer |
|---|---|
| Why not zeros? | The gradient of every kernel is then exactly 0. Only the output bias learns, and the test accuracy stays at 11.35 %, the share of the largest class. |
| Which initialiser for 30 ReLU layers under SGD? | He (`kaiming_normal`): 93.71 ± 0.43 %. LSUV trains, too (91.81 ± 1.33 %). The six others of the study do not. |
| Why does Xavier fail there, and what does He change? | A ReLU removes half of the signal's variance. Xavier does not make up for it: each layer keeps half of the variance, and after 30 layers the signal has 2^-14.61 of the size of He's, about 1/25,000. The gradients are then too small for SGD. He doubles the variance of the weights, and each layer keeps all of it. |
| When does pretraining help? | When labels are few: 3.35 to 3.38 percentage points over Xavier with 1,000 labels, 0.41 to 0.55 with 60,000. And in deep networks of sigmoid units under SGD, which train from it and from neither Xavier nor small random weights. |
| What does torch's default do at depth 10? | `nn.Linear` draws from U(±1/√fan_in), so each ReLU layer keeps 1/6 of the variance of signal and gradient (biases 0 here; with its own biases the signal levels off, but the images become alike and the gradient still keeps 1/6). Under SGD, ten hidden layers stay at 11.35 ± 0.00 %. Adam hides it: 94.84 ± 0.16 %, where Xavier reaches 96.39 ± 0.23 %. |

## 1분 요약

| 질문 | 답 |
|---|---|
| 왜 0으로 시작하면 안 됩니까? | 모든 커널의 gradient가 정확히 0이 됩니다. 출력층의 bias만 학습하므로 정확도는 가장 큰 클래스의 비율인 11.35 %에 머뭅니다. |
| SGD로 학습하는 30층 ReLU에는 무엇을 씁니까? | He(`kaiming_normal`)를 씁니다: 93.71 ± 0.43 %. LSUV도 학습됩니다(91.81 ± 1.33 %). 비교한 나머지 여섯 가지는 학습되지 않습니다. |
| Xavier는 왜 실패하고, He는 무엇을 바꿉니까? | ReLU는 신호의 분산을 절반으로 줄입니다. Xavier는 이를 보충하지 않으므로 한 층을 지날 때마다 분산이 절반이 되고, 30층 뒤에는 신호의 크기가 He의 2^-14.61, 약 25,000분의 1이 됩니다. 그러면 gradient가 SGD로 학습하기에 너무 작아집니다. He는 가중치의 분산을 두 배로 하여 신호를 그대로 유지합니다. |
| 사전 학습은 언제 도움이 됩니까? | 레이블이 적을 때입니다. Xavier보다 레이블 1,000개에서는 3.35~3.38 퍼센트포인트, 60,000개에서는 0.41~0.55 퍼센트포인트 높습니다. 또 SGD로 학습하는 깊은 sigmoid 신경망은 Xavier나 작은 난수에서는 학습되지 않지만, 사전 학습한 가중치에서 시작하면 학습됩니다. |
| torch의 기본값은 10층에서 어떻게 됩니까? | `nn.Linear`는 U(±1/√fan_in)에서 뽑으므로 ReLU 한 층마다 신호와 gradient의 분산이 1/6로 줄어듭니다(여기서는 bias가 0입니다. 원래의 bias를 쓰면 신호는 일정해지지만 이미지들이 서로 비슷해지고 gradient는 그대로 1/6로 줄어듭니다). SGD로는 은닉층 10개가 11.35 ± 0.00 %에 머뭅니다. Adam은 이 문제를 가려 94.84 ± 0.16 %까지 가지만, Xavier는 96.39 ± 0.23 %입니다. |
"""

# %%
# On Google Colab this cell downloads and installs the project, which takes about a minute (38 s into an empty
# environment on 2 cores). Elsewhere the project is there already, and the cell only finds it.
REPOSITORY = ""  # on Colab: put the address of the project's git repository here, as `git clone` takes it

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

CLONE = Path("mnist-initialization-port")
if "google.colab" in sys.modules and importlib.util.find_spec("jax_impl") is None:
    if not REPOSITORY:
        raise ValueError("put the address of the project's git repository into REPOSITORY, at the top of this cell")
    if not CLONE.exists():
        subprocess.run(["git", "clone", "--quiet", "--depth", "1", REPOSITORY, str(CLONE)], check=True)
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", f"./{CLONE}[jax]"], check=True)
here = Path.cwd()
project = next(folder for folder in (here / CLONE, here, *here.parents) if (folder / "jax_impl" / "train.py").exists())
os.chdir(project)  # MNIST_data, too, is found from here
sys.path.insert(0, str(project))

# %% [markdown]
"""
The next cell imports the port. The files of `jax_impl/` are the port itself, its packages wrap them:

| in this notebook | where it lives |
|---|---|
| `recipes`: the settings of a run | `jax_impl/recipes.py` |
| `data`, `fetch`: MNIST as uint8 arrays | `jax_impl/data.py`, `jax_impl/fetch/` |
| `initializers`: torch's names and distributions | `jax_impl/initializers.py` |
| `init_params`, `apply`, `scale`: the Flax network | `jax_impl/model.py` |
| `native`, `replayed`: the random draws of a run, JAX's own or torch's | `jax_impl/draws.py`, `jax_impl/starts/replayed.py` |
| `fit`, `run_epoch`, `mean_loss`: the training loop | `jax_impl/train.py` |
| `propagate`, which `cells.run` calls: signal and gradient layer by layer | `jax_impl/study/propagation.py` |
| `PRESETS`: published results, with their checks and figures | `jax_impl/study/presets/` |
| `machine`, `training`, `dbn`: RBM and DBN | `jax_impl/rbm/` |

`torch_ref/` is the original as a package. Cells that need torch say so where it is not installed.

다음 셀은 JAX로 옮긴 코드를 불러옵니다. `jax_impl/` 바로 아래의 파일이 옮긴 코드이고, 그 안의 패키지는 이 파일들을 감쌉니다. `torch_ref/`는 원래
노트북을 패키지로 만든 것입니다. torch가 설치되어 있지 않으면 PyTorch 셀은 그 사실만 알려 줍니다.
"""

# %%
import json
from functools import partial
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
from IPython.display import Image, display

from jax_impl import data, initializers, interop, recipes
from jax_impl.draws import native
from jax_impl.fetch import folder, sources
from jax_impl.figures.canvas import render
from jax_impl.figures.colors import BAD, BLUE, GREEN, INITIALISERS, INK, MUTED, PURPLE
from jax_impl.model import accuracy, apply, init_params, scale
from jax_impl.rbm import dbn, machine, training
from jax_impl.rbm.settings import Settings
from jax_impl.recipes import Recipe
from jax_impl.starts.replayed import replayed
from jax_impl.study import cells, figures, grid
from jax_impl.study.presets import PRESETS
from jax_impl.study.presets.drawing import draw_preset
from jax_impl.train import fit, mean_loss, run_epoch, start

TORCH = all(importlib.util.find_spec(package) for package in ("torch", "torchvision"))
if TORCH:
    import torch

    torch.set_num_threads(1)  # as torch_ref does: plenty for so small a network
NO_TORCH = "torch is not installed: pip install torch torchvision, and run this notebook again"

folder.ensure(None, sources=sources.default(), log=print)  # downloads MNIST if it is not there
mnist = data.load()
images, labels = jnp.asarray(mnist.train_images), jnp.asarray(mnist.train_labels)
test_images, test_labels = jnp.asarray(mnist.test_images), jnp.asarray(mnist.test_labels)
numbers = json.loads(Path("docs/study/numbers.json").read_text(encoding="utf-8"))


def show(draw, width, height, alt):
    """Display a figure of this size in inches. `draw` gets the empty figure."""
    display(Image(render(draw, (width, height), format="png", dpi=110), alt=alt))


def as_picture(axes):
    """Leave out what only a chart needs: ticks, grid and frame."""
    axes.set(xticks=[], yticks=[])
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)


def show_picture(picture):
    """Display a figure of the reports."""
    width, height = picture.wide  # in hundredths of an inch
    show(lambda figure: picture.draw(figure, False), width / 100, height / 100, picture.alt)


def show_preset(name):
    """Display the figure of a published result from the recorded numbers, and print its checks."""
    recorded = numbers["presets"][name]
    for check in recorded["checks"]:
        print(f"{'pass' if check['passed'] else 'FAIL'}  {check['check']}: {check['measured']} ({check['band']})")
    show_picture(draw_preset(PRESETS[name], recorded["parts"]))


print(f"{len(images):,} training and {len(test_images):,} test images")

# %% [markdown]
"""
## Why good initialization?

> “Weight initialisation matters more than you would think.” (the original)

A unit sums fan_in products of an activation and a weight. With independent weights of mean 0, the variance of its
pre-activation is

    q′ = fan_in · E[w²] · E[φ(z)²]        z ~ N(0, q), φ the activation        (Poole et al. 2016)

A ReLU keeps half of the variance: E[φ(z)²] = q / 2. So a layer multiplies the variance by fan_in · E[w²] / 2. If this
factor is 1, the signal passes through any number of layers. If not, it shrinks or grows exponentially with depth. The next
two cells send the same images through 30 square ReLU layers, in PyTorch and in JAX, and print the standard deviation of
the pre-activations. Their random numbers differ, the law is the same.

> “Weight 초기화는 생각이상으로 중요하다.” (원래 노트북)

유닛 하나는 활성값과 가중치의 곱 fan_in개를 더합니다. 가중치가 서로 독립이고 평균이 0이면, 활성화 이전 값의 분산은 위의 식을 따릅니다. ReLU는 분산을
절반으로 줄이므로, 한 층은 분산에 fan_in · E[w²] / 2를 곱합니다. 이 배수가 1이면 신호는 몇 층이든 지나갑니다. 1이 아니면 신호는 깊이에 따라 지수적으로
줄거나 커집니다. 다음 두 셀은 같은 이미지를 ReLU 30층에 통과시키고, 활성화 이전 값의 표준편차를 출력합니다. 하나는 PyTorch, 하나는 JAX입니다. 난수는
서로 다르지만 법칙은 같습니다.
"""

# %%
# PyTorch
SHOWN_LAYERS = (1, 10, 20, 30)


def print_scales(name, scales):
    print(f"{name:16}" + "".join(f"layer {layer}: {scales[layer - 1]:<9.3g}" for layer in SHOWN_LAYERS))


if TORCH:
    torch.manual_seed(777)
    for name in ("xavier_normal_", "kaiming_normal_"):
        x, scales = torch.tensor(mnist.train_images[:100]) / 255, []
        for _ in range(30):
            linear = torch.nn.Linear(x.shape[1], 784, bias=False)
            getattr(torch.nn.init, name)(linear.weight)
            z = linear(x).detach()
            scales.append(z.std().item())
            x = torch.relu(z)
        print_scales(name, scales)
else:
    print(NO_TORCH)

# %%
# JAX: jax_impl/initializers.py has torch's names and distributions
for name in ("xavier_normal", "kaiming_normal"):
    x, scales = scale(images[:100], "float32"), []
    for key in jax.random.split(jax.random.key(777), 30):
        kernel = initializers.KERNELS[name]()(key, (x.shape[1], 784), "float32")  # (fan_in, fan_out)
        z = x @ kernel
        scales.append(z.std().item())
        x = jax.nn.relu(z)
    print_scales(name, scales)

# %% [markdown]
"""
Xavier's signal falls by a factor of 1/√2 per layer, He's stays. The next figure measures eight initialisers in a network
of 30 hidden layers of 128 units before the first training step, forward and backward. Dots are measured. Lines are the
formula above and, for the gradients, fan_out · E[w²] · E[φ′(z)²]. In the figures, `linear_default` is torch's `nn.Linear`,
`kaiming_normal` is He, `normal` is N(0, 1) and `small_normal` a hundredth of it. Values beyond 1e-24 and 1e24 are drawn at the edge.

Xavier의 신호는 한 층마다 1/√2로 줄고, He의 신호는 그대로입니다. 다음 그림은 학습을 시작하기 전에, 128개 유닛의 은닉층 30개를 지나는 신호와 gradient를
여덟 가지 초기화에 대해 잽니다. 점은 측정값이고 선은 위의 식입니다(gradient는 fan_out · E[w²] · E[φ′(z)²]). 그림에서 `linear_default`는 torch의
`nn.Linear`, `kaiming_normal`은 He, `normal`은 N(0, 1), `small_normal`은 그 100분의 1입니다. 1e-24와 1e24를 벗어난 값은 가장자리에 그립니다.
"""

# %%
deep = grid.Grid(depths=(30,), epochs=0, seeds=1).cells()  # eight initialisers, not trained
before_training = cells.run(deep, mnist)
signal, vitals, histograms = figures.pictures(before_training)
show_picture(signal)

# %% [markdown]
"""
The same networks as histograms of the pre-activations, the first layer at the bottom. A spike: the signal vanished. A flat
band: it exploded.

같은 신경망의 활성화 이전 값을 히스토그램으로 그렸습니다. 첫 층이 맨 아래입니다. 뾰족한 선은 신호가 사라졌다는 뜻이고, 납작한 띠는 신호가 폭발했다는
뜻입니다.
"""

# %%
show_picture(histograms)

# %% [markdown]
"""
Xavier's signal is small, not gone: float32 represents it well. But its gradient is too small for the learning rate. The
rightmost panel shows it: the gradient of every kernel is more than four decades below He's. Depth has a price even with He's
weights: the effective rank falls from layer to layer, so the images look more alike.

Xavier의 신호는 작을 뿐 사라지지 않았으며, float32로 잘 나타낼 수 있습니다. 그러나 gradient가 학습률에 비해 너무 작습니다. 맨 오른쪽 그림을 보면 모든 커널의
gradient가 He보다 네 자릿수 넘게 작습니다. He의 가중치에서도 깊이에는 대가가 있습니다. 층을 지날수록 effective rank가 줄어들어 이미지들이 서로
비슷해집니다.
"""

# %%
show_picture(vitals)
gradients = {
    record["recipe"]["init"]: np.array(record["propagation"]["measured"]["kernel_gradient_norm"][0], np.float64)
    for record in before_training
}
ranks = {record["recipe"]["init"]: record["propagation"]["measured"]["effective_rank"][0] for record in before_training}
decades = np.log10(gradients["kaiming_normal"] / gradients["xavier_normal"])
print(f"gradient of the kernels, He over Xavier: {decades.min():.1f} to {decades.max():.1f} decades")
print(f"effective rank with He: {ranks['kaiming_normal'][0]:.0f} in layer 1, {ranks['kaiming_normal'][29]:.0f} in 30")

# %% [markdown]
"""
Training follows from this. The recorded study trains each of these networks, and shallower ones, for three epochs of plain
SGD from three seeds.

학습 결과도 여기에서 따라 나옵니다. 아래 숫자는 이 신경망과 더 얕은 신경망을 SGD로 3 에폭씩, 시드 세 개로 학습한 기록입니다.
"""

# %%
study = numbers["grids"]["study"]
by_init_and_depth = {(cell["initialiser"], int(cell["hidden layers"])): cell for cell in study["cells"]}
inits, depths = (list(dict.fromkeys(values)) for values in zip(*by_init_and_depth, strict=True))


def mean_and_deviation(cell):
    """Return the mean and the deviation of the last test accuracies in percent, NaN if the cell diverged."""
    if cell["test accuracy"] == "–":
        return np.nan, np.nan
    mean, deviation = cell["test accuracy"].removesuffix(" %").split(" ± ")
    return float(mean), float(deviation)


def spoken(cells):
    """Return the results of cells in words, for those who do not see the figure."""
    names = ("initialiser", "hidden layers", "activation", "optimizer", "verdict", "test accuracy")
    return "; ".join(", ".join(cell[name] for name in names) for cell in cells)


def draw_study(figure):
    table, curves = figure.subplots(1, 2, width_ratios=(1.1, 1))
    of_init = [[by_init_and_depth[init, depth] for depth in depths] for init in inits]
    means = np.array([[mean_and_deviation(cell)[0] for cell in row] for row in of_init])
    table.imshow(np.nan_to_num(means), cmap="Greens", vmin=0, vmax=250, aspect="auto")
    for row, cells_of_row in enumerate(of_init):
        for column, cell in enumerate(cells_of_row):
            text = f"{cell['verdict']}, {cell['test accuracy']}".removesuffix(", –")
            table.text(column, row, text, ha="center", va="center", fontsize=7.5)
    table.set_xticks(range(len(depths)), [f"{depth} hidden layers" for depth in depths])
    table.set_yticks(range(len(inits)), inits)
    table.grid(visible=False)
    table.set_title("test accuracy after three epochs, mean ± deviation over the seeds")
    for init in inits:
        cell = by_init_and_depth[init, 30]
        if cell["verdict"] != "diverged":
            means_by_epoch = 100 * np.mean(cell["by seed"]["test_accuracy"], axis=0)
            look = INITIALISERS[init]
            curves.plot(range(1, len(means_by_epoch) + 1), means_by_epoch, ls=look.dash, **look.points(6), label=init)
    curves.set(xlabel="epoch", ylabel="test accuracy (%)", ylim=(0, 100), xticks=(1, 2, 3))
    curves.set_title("30 hidden layers; the dead ones lie on top of each other")
    curves.legend(loc="center right")


show(draw_study, 11, 3.8, f"Test accuracies: {spoken(study['cells'])}")
print(study["command"], *study["measured on"], sep="\n")

# %% [markdown]
"""
**Question.** A ReLU network has 30 square layers, and its weights are drawn from N(0, 1/fan_in). What happens to the
variance of the signal?

**문제.** 정사각 층 30개로 된 ReLU 신경망의 가중치를 N(0, 1/fan_in)에서 뽑았습니다. 신호의 분산은 어떻게 됩니까?

<details><summary>Answer / 답</summary>

fan_in · E[w²] / 2 = 1/2, so each layer halves the variance, as Xavier does in square layers. After 30 layers 2^-30 of it is
left, about a billionth.

fan_in · E[w²] / 2 = 1/2이므로 한 층마다 분산이 절반으로 줄어듭니다. 정사각 층에서는 Xavier와 같습니다. 30층 뒤에는 2^-30, 즉 약 10억분의 1만 남습니다.
</details>
"""

# %% [markdown]
"""
## Not all 0's

> “If the weights are 0, then all gradient values become 0.” (the original)

Almost. The next two cells set all weights and biases of the 784-256-256-10 network to 0 and compute the gradient, in
PyTorch and in JAX. The hidden activations are 0, and so are the weights through which an error would propagate back. So the
gradients of all kernels and of the hidden biases are exactly 0. The output bias is the exception: its gradient is softmax
minus label.

> “만약 이때 weight가 0이라면 모든 gradient 값이 0이 되게 됩니다.” (원래 노트북)

거의 맞는 말입니다. 다음 두 셀은 784-256-256-10 신경망의 가중치와 bias를 모두 0으로 두고 gradient를 계산합니다. 은닉층의 활성값이 0이고, 오차가 거꾸로
지나갈 가중치도 0입니다. 그래서 모든 커널과 은닉층 bias의 gradient는 정확히 0입니다. 출력층의 bias만 예외로, 그 gradient는 softmax에서 레이블을 뺀
값입니다.
"""

# %%
# PyTorch
if TORCH:
    linears = [torch.nn.Linear(784, 256), torch.nn.Linear(256, 256), torch.nn.Linear(256, 10)]
    for linear in linears:
        torch.nn.init.zeros_(linear.weight)
        torch.nn.init.zeros_(linear.bias)
    relu = torch.nn.ReLU()
    model = torch.nn.Sequential(linears[0], relu, linears[1], relu, linears[2])
    X, Y = torch.tensor(mnist.test_images[:100]) / 255, torch.tensor(mnist.test_labels[:100], dtype=torch.int64)
    torch.nn.CrossEntropyLoss()(model(X), Y).backward()
    for number, linear in enumerate(linears, start=1):
        print(f"linear{number}: weight {linear.weight.grad.norm():.4g}, bias {linear.bias.grad.norm():.4g}")
else:
    print(NO_TORCH)

# %%
# JAX: the network of jax_impl/model.py, the loss of jax_impl/train.py
params = init_params(Recipe(name="zeros", init="zeros", bias_init="zeros"), key=jax.random.key(0))
gradient = jax.grad(mean_loss)(params, scale(test_images[:100], "float32"), test_labels[:100])
for name, layer in gradient.items():
    print(f"{name}: kernel {jnp.linalg.norm(layer['kernel']):.4g}, bias {jnp.linalg.norm(layer['bias']):.4g}")

# %% [markdown]
"""
Training does not change it. The figure shows the recorded gradients after an epoch, and the accuracies, for zeros and for
another constant.

학습해도 달라지지 않습니다. 아래 그림은 0에서 시작했을 때와 다른 상수에서 시작했을 때, 한 에폭 뒤의 gradient와 정확도를 기록으로 보여 줍니다.
"""

# %%
show_preset("not-all-zero")

# %% [markdown]
"""
A constant other than 0 gives gradients, but the units of a layer compute the same, get the same gradient and stay
identical. The next cell trains such a network for an epoch and shows the weights of eight hidden units as images. From
Xavier's random draw the units differ.

0이 아닌 상수에서는 gradient가 생깁니다. 그러나 한 층의 유닛들은 같은 값을 계산하고 같은 gradient를 받으므로 끝까지 서로 같습니다. 다음 셀은 그런 신경망을
한 에폭 학습하고, 은닉 유닛 여덟 개의 가중치를 이미지로 보여 줍니다. Xavier의 난수에서 시작하면 유닛들이 서로 다릅니다.
"""

# %%
units = {}
for init in ("constant", "xavier_uniform"):
    recipe = Recipe(name=init, init=init, bias_init="zeros", epochs=1)
    for record, state in fit(recipe, mnist, native(recipe, len(images))):
        print(f"{init}: cost {record.cost:.4f}, test accuracy {record.test_accuracy:.2%}")
        units[init] = np.asarray(state.params["linear1"]["kernel"])
    spread = np.ptp(units[init], axis=1).max()
    print(f"{init}: largest difference between two units' weights from the same pixel {spread:.3g}")


def draw_units(figure):
    panels = figure.subplots(2, 8)
    for row, (init, kernel) in zip(panels, units.items(), strict=True):
        limit = np.quantile(np.abs(kernel), 0.999)
        for number, axes in enumerate(row):
            axes.imshow(kernel[:, number].reshape(28, 28), cmap="RdBu_r", vmin=-limit, vmax=limit)
            as_picture(axes)
        row[0].set_ylabel(init)
    figure.suptitle("weights from the pixels of eight hidden units after one epoch")


show(
    draw_units, 8, 2.4, "The eight units that started from a constant have the same weights; those from Xavier differ."
)

# %% [markdown]
"""
**Question.** All weights are 0, but the hidden biases are 1. Do the kernels learn?

**문제.** 가중치는 모두 0이지만 은닉층의 bias는 1입니다. 커널은 학습합니까?

<details><summary>Answer / 답</summary>

At the first step only the last kernel: its inputs are ReLU(1) = 1, so its gradient is not 0. The gradient of the layers
below passes through the last kernel, which is 0. After that step they get gradients, too. But all units of a layer are
equal and stay equal, so the network is as good as one with a single unit per layer.

첫 스텝에서는 마지막 커널만 학습합니다. 그 입력이 ReLU(1) = 1이므로 gradient가 0이 아닙니다. 아래층의 gradient는 값이 0인 마지막 커널을 지나야 합니다. 그
스텝이 지나면 아래층도 gradient를 받습니다. 그러나 한 층의 유닛들이 서로 같은 채로 남으므로, 층마다 유닛이 하나인 신경망과 다르지 않습니다.
</details>
"""

# %% [markdown]
"""
## RBM (Restricted Boltzmann Machine)

> “Given an input x, a forward pass makes Y. Given Y, a backward pass makes x′, which restores x.” · “Restricted: no
> connections within a layer.” · “KL divergence: compare actual to recreation.” (the original)

A restricted Boltzmann machine has visible units v, the pixels, and hidden units h. Given one layer, all units of the other
can be drawn at once. Training by contrastive divergence (CD-1) goes up, down and up again, and moves the weights by the
difference of two means of v hᵀ: that of the data minus that of the recreation. The original has no code for it. Here it is
in `torch_ref/rbm.py` and `jax_impl/rbm/machine.py`. The next cell takes one step in both, from the same weights with the
same random numbers.

> “입력 x가 있을때 Y를 만들수 있는 foward가 존재하고, 반대로 Y가 들어왔을때 backward를 통해 x를 복원하는 x'이 가능한 구조입니다.” · “레이어 안에서는 연결이
> 없습니다.” (원래 노트북)

제한 볼츠만 머신(RBM)에는 픽셀인 가시 유닛 v와 은닉 유닛 h가 있습니다. 한 층이 주어지면 다른 층의 모든 유닛을 한꺼번에 뽑을 수 있습니다.
contrastive divergence(CD-1)는 위로, 아래로, 다시 위로 한 번씩 지나간 뒤, 데이터에서의 v hᵀ 평균에서 복원된 값에서의 평균을 뺀 만큼 가중치를 옮깁니다.
원래 노트북에는 코드가 없습니다. 여기서는 `torch_ref/rbm.py`와 `jax_impl/rbm/machine.py`에 있습니다. 다음 셀은 같은 가중치와 같은 난수로 두
구현에서 한 스텝을 계산합니다.
"""

# %%
pixels, held_out = scale(images, "float32"), scale(test_images, "float32")
rbm = machine.init(jax.random.key(777), pixels.mean(axis=0), 500)
uniforms = machine.uniforms(jax.random.key(1), 1, 100, rbm)
of_data, of_model, _ = machine.divergence_step(rbm, pixels[:100], uniforms)
change = np.asarray(of_data.weight - of_model.weight)  # (visible, hidden)
print(f"JAX: the mean change of a weight has the size {np.abs(change).mean():.6f}")

# PyTorch
if TORCH:
    from torch_ref import rbm as torch_rbm

    theirs = torch_rbm.Rbm(784, 500)
    theirs.weight.data = torch.tensor(np.asarray(rbm.weight).T)  # torch stores (hidden, visible)
    theirs.visible_bias.data = torch.tensor(np.asarray(rbm.visible_bias))
    drawn = torch_rbm.Uniforms(torch.tensor(np.asarray(uniforms.hidden)), torch.tensor(np.asarray(uniforms.visible)))
    batch = torch.tensor(np.asarray(pixels[:100]))
    their_data, their_model, _ = theirs.divergence_step(batch, drawn)
    their_change = (their_data.weight - their_model.weight).numpy().T
    print(f"PyTorch: {np.abs(their_change).mean():.6f}; largest difference below 1e-6: ", end="")
    print(np.abs(change - their_change).max() < 1e-6)
else:
    print(NO_TORCH)

# %% [markdown]
"""
The original says that the KL divergence compares the actual input with its recreation. More precisely, training lowers the
divergence between two *distributions*, that of the data and that of the model, approximately. To see it, take a machine so
small that the divergence can be computed exactly: 3 × 3 pixels that show bars or stripes, 14 pictures, and 8 hidden units.

원래 노트북은 KL divergence가 실제 입력과 복원을 비교한다고 말합니다. 정확히 말하면 학습은 데이터의 *분포*와 모델의 *분포* 사이의 divergence를 근사적으로
줄입니다. 이를 보기 위해 divergence를 정확히 계산할 수 있을 만큼 작은 기계를 씁니다. 가로줄 또는 세로줄을 그린 3 × 3 픽셀 그림 14가지와 은닉 유닛
8개입니다.
"""

# %%
lines = np.array([[number >> bit & 1 for bit in range(3)] for number in range(8)], np.float32)
bars = np.unique(
    [np.outer(a, b).ravel() for line in lines for a, b in ((line, np.ones(3)), (np.ones(3), line))], axis=0
)
every = machine.states(9, "float32")  # the 512 pictures of nine pixels
shares = jnp.asarray((np.asarray(every)[:, None] == bars[None]).all(axis=2).sum(axis=1) / len(bars), "float32")
toy = Settings(hidden=8, epochs=200, batch_size=len(bars), learning_rate=0.5)
few = jnp.asarray(np.tile(bars, (20, 1)), "float32")
divergence = jax.jit(machine.kl_divergence)
kl = [float(divergence(jax.tree.map(jnp.asarray, one), shares)) for _, one in training.fit(toy, few, few)]
print(f"{len(bars)} pictures: KL divergence {kl[0]:.2f} nats before training, {kl[-1]:.2f} after {toy.epochs} epochs")


def draw_divergence(figure):
    pictures, axes = figure.subplots(1, 2, width_ratios=(1, 2))
    mosaic = np.full((2 * 4 + 1, 7 * 4 + 1), 0.5)
    for number, picture in enumerate(bars):
        top, left = 1 + 4 * (number // 7), 1 + 4 * (number % 7)
        mosaic[top : top + 3, left : left + 3] = picture.reshape(3, 3)
    pictures.imshow(mosaic, cmap="gray_r", vmin=0, vmax=1)
    pictures.set_title("all bars and stripes of 3 × 3 pixels")
    as_picture(pictures)
    axes.plot(kl, color=INITIALISERS["dbn"].color)
    axes.set(xlabel="epoch of CD-1", ylabel="KL(data ‖ model), nats", ylim=(0, None))


show(draw_divergence, 8, 2.6, f"The divergence falls from {kl[0]:.2f} to {kl[-1]:.2f} nats.")

# %% [markdown]
"""
Now a machine with 500 hidden units on MNIST, for two epochs with persistent chains. Drawn as images, the weights of its
hidden units begin to look like pieces of strokes. A pass up and down recreates test images.

이제 은닉 유닛 500개의 기계를 MNIST로 2 에폭 학습합니다. 체인은 스텝마다 이어집니다(persistent). 은닉 유닛의 가중치를 이미지로 그리면 획의 조각처럼 보이기
시작합니다. 위로 한 번, 아래로 한 번 지나가면 테스트 이미지가 복원됩니다.
"""

# %%
course = list(training.fit(Settings(persistent=True, epochs=2), pixels, held_out))
for record, _ in course[1:]:  # the first machine is not trained
    print(
        f"epoch {record.epoch}: pseudo-log-likelihood {record.pseudo_log_likelihood:.2f}, "
        f"reconstruction error {record.reconstruction_error:.2f} nats per image"
    )
rbm = jax.tree.map(jnp.asarray, course[-1][1])
shown = held_out[:10]
recreated = machine.visible_given_hidden(rbm, machine.hidden_given_visible(rbm, shown))


def mosaic_of(pictures, columns):
    rows = np.asarray(pictures).reshape(-1, columns, 28, 28)
    return np.pad(rows, ((0, 0), (0, 0), (1, 1), (1, 1))).transpose(0, 2, 1, 3).reshape(-1, columns * 30)


def draw_machine(figure):
    filters, digits = figure.subplots(1, 2, width_ratios=(1.6, 1))
    weights = mosaic_of(rbm.weight[:, :40].T, 8)
    limit = np.quantile(np.abs(weights), 0.998)
    filters.imshow(weights, cmap="RdBu_r", vmin=-limit, vmax=limit)
    filters.set_title("weights of 40 hidden units")
    digits.imshow(mosaic_of(np.stack([shown[:5], recreated[:5], shown[5:], recreated[5:]]), 5), cmap="gray_r")
    digits.set_title("test images, and below each its recreation")
    for axes in (filters, digits):
        as_picture(axes)


show(draw_machine, 7.5, 3, "Hidden units as strokes and dots; ten test digits, each above a blurred recreation.")

# %% [markdown]
"""
Chains of Gibbs sampling that start at test images go on to imagine digits of their own, one chain per row.

테스트 이미지에서 시작한 깁스 표본 추출 체인은 스스로 숫자를 상상해 나갑니다. 한 행이 체인 하나입니다.
"""

# %%
rounds = (1, 10, 100, 1000)
chains = dbn.generate([rbm], jax.random.key(0), shown[:6], rounds)
columns = np.concatenate([shown[None, :6], np.asarray(chains)]).swapaxes(0, 1).reshape(-1, 784)


def draw_chains(figure):
    axes = figure.subplots()
    axes.imshow(mosaic_of(columns, 5), cmap="gray_r", vmin=0, vmax=1)
    as_picture(axes)
    axes.set_xticks([15 + 30 * place for place in range(5)], ["test image", *(f"{count:,}" for count in rounds)])
    axes.set(xlabel="rounds of Gibbs sampling")


show(draw_chains, 4, 4.2, "Six chains: the test image, and what the chain shows after 1, 10, 100 and 1,000 rounds.")

# %% [markdown]
"""
Is a good recreation a good model? The recorded machines say no. Both trained for ten epochs. CD-1, whose chains restart at
the data in every step, recreates images better. The machine with persistent chains models them far better. Its
log-likelihood lies between those that Salakhutdinov & Murray (2008) published for CD-3 and CD-25.

복원을 잘하면 좋은 모델입니까? 기록된 두 기계를 보면 그렇지 않습니다. 둘 다 10 에폭 학습했습니다. 스텝마다 데이터에서 체인을 다시 시작하는 CD-1은 복원을 더
잘합니다. 그러나 체인을 이어 가는(persistent) 기계가 이미지의 분포를 훨씬 잘 나타냅니다. 그 로그 가능도는 Salakhutdinov & Murray(2008)가 CD-3과 CD-25에
대해 발표한 두 값 사이에 있습니다.
"""

# %%
machines = {"CD-1": numbers["machines"]["rbm-cd1"], "persistent CD": numbers["machines"]["rbm-persistent"]}
published = {"CD-1, published": -125.5, "CD-3, published": -105.5, "CD-25, published": -86.3}


def draw_machines(figure):
    recreation, likelihood = figure.subplots(1, 2)
    measured = {name: one["log_likelihood"]["test"] for name, one in machines.items()}
    for (name, one), color in zip(machines.items(), (PURPLE, GREEN), strict=True):
        epochs = [epoch["epoch"] for epoch in one["epochs"]]
        errors = [epoch["reconstruction_error"] for epoch in one["epochs"]]
        recreation.plot(epochs, errors, "o-", ms=3.5, color=color, label=f"{name}: {errors[-1]:.1f} at the end")
    recreation.set(xlabel="epoch", ylabel="reconstruction error (nats per image)")
    recreation.legend()
    everything = measured | published
    colors = (PURPLE, GREEN, MUTED, MUTED, MUTED)
    bars = likelihood.barh(list(everything), list(everything.values()), color=colors)
    likelihood.bar_label(bars, fmt="%.1f", padding=-28, color="white", fontsize=8)
    likelihood.invert_yaxis()
    likelihood.set_xlabel("log-likelihood of test images (nats per image), nearer to 0 is better")


alt = ", ".join(f"{name} {one['log_likelihood']['test']:.1f} nats" for name, one in machines.items())
show(draw_machines, 10, 2.8, f"Reconstruction errors by epoch, and log-likelihoods: {alt}.")

# %% [markdown]
"""
**Question.** Why can all hidden units be drawn at once?

**문제.** 왜 모든 은닉 유닛을 한꺼번에 뽑을 수 있습니까?

<details><summary>Answer / 답</summary>

“Restricted” means: no connections within a layer. So given the visible units, the hidden units are independent of each
other, and the probability of each is a sigmoid of its own input.

“Restricted”는 레이어 안에 연결이 없다는 뜻입니다. 그래서 가시 유닛이 주어지면 은닉 유닛들은 서로 독립이며, 각 유닛의 확률은 자기 입력의 sigmoid입니다.
</details>
"""

# %% [markdown]
"""
## Deep Belief Network

A deep belief network is a stack of such machines. Each learns from the hidden probabilities of the one below, without
labels. Its weights made deep classifiers trainable when the random draws of the time could not (Hinton, Osindero & Teh
2006). `jax_impl/rbm/dbn.py` and `torch_ref/dbn.py` train the stack and unroll it into a classifier.

The next cell puts a second machine on the one from above and trains it for an epoch. Then it trains the same 784-500-500-10
network of sigmoid units on 1,000 labelled images, from the stack and from Xavier, for 1,000 steps of Adam.

심층 신뢰 신경망(DBN)은 이런 기계를 쌓은 것입니다. 각 기계는 아래 기계의 은닉 확률을 입력으로 삼아 레이블 없이 학습합니다. 당시의 무작위 초기화로는 학습되지
않던 깊은 분류기가 이 가중치 덕분에 학습되었습니다(Hinton, Osindero & Teh 2006). `jax_impl/rbm/dbn.py`와 `torch_ref/dbn.py`가 기계를 쌓아
학습하고, 이를 분류기로 펼칩니다.

다음 셀은 위의 기계 위에 두 번째 기계를 얹어 한 에폭 학습합니다. 그런 다음 sigmoid 유닛으로 된 같은 784-500-500-10 신경망을 레이블이 있는 이미지 1,000장으로
Adam 1,000 스텝 학습합니다. 한 번은 쌓은 기계에서, 한 번은 Xavier에서 시작합니다.
"""

# %%
hidden, hidden_held_out = (machine.hidden_given_visible(rbm, part) for part in (pixels, held_out))
*_, (_, second) = training.fit(Settings(epochs=1), hidden, hidden_held_out, layer=2)
stack = [rbm, second]

recipe = recipes.named("mnist_dbn").with_changes(init="xavier_uniform", epochs=1)
random_start = init_params(recipe, key=jax.random.key(0))
starts = {"DBN": dbn.unroll(stack, random_start), "Xavier": random_start}

rng = np.random.default_rng(0)
labelled = rng.permutation(len(images))[:1000]
order = np.concatenate([rng.permutation(labelled) for _ in range(100)]).astype(np.int32).reshape(1000, 100)
train = jax.jit(partial(run_epoch, activation="sigmoid"))
for name, params in starts.items():
    before = accuracy(params, test_images, test_labels, "sigmoid")
    state, _ = train(start(params, recipe.learning_rate), images, labels, jnp.asarray(order))
    after = accuracy(state.params, test_images, test_labels, "sigmoid")
    print(f"{name}: test accuracy {before:.2%} before, {after:.2%} after 1,000 steps on 1,000 labels")

# %%
# PyTorch: the same start in torch_ref's network
if TORCH:
    from torch_ref import model as torch_models
    from torch_ref import recipes as torch_recipes

    model = torch_models.build(torch_recipes.RECIPES["mnist_dbn"])
    tensors = interop.to_torch(starts["DBN"])
    model.load_state_dict({name: torch.tensor(tensor) for name, tensor in tensors.items()})
    logits = model(torch.tensor(np.asarray(held_out[:100]))).detach().numpy()
    print(model)
    print(
        "logits differ by at most 1e-5:", np.abs(logits - apply(starts["DBN"], held_out[:100], "sigmoid")).max() < 1e-5
    )
else:
    print(NO_TORCH)

# %% [markdown]
"""
The recorded runs pretrain on all 60,000 images, for five epochs per machine, and repeat each run from three seeds. The
fewer the labels, the more pretraining adds. On the right: five layers of sigmoid units under plain SGD stay at chance from
small random weights, hardly leave it from Xavier, and train from the DBN.

기록된 실험은 이미지 60,000장 전체로 기계마다 5 에폭 사전 학습하고, 시드 세 개로 반복했습니다. 레이블이 적을수록 사전 학습의 효과가 큽니다. 오른쪽 그림에서
sigmoid 다섯 층을 SGD로 학습하면, 작은 난수에서는 추측하는 수준에 머물고 Xavier에서는 겨우 벗어나며 DBN에서는 제대로 학습됩니다.
"""

# %%
show_preset("pretraining")

# %% [markdown]
"""
**Question.** With all 60,000 labels, the DBN gains little over Xavier. Why?

**문제.** 레이블 60,000개를 모두 쓰면 DBN은 Xavier보다 조금밖에 낫지 않습니다. 왜 그렇습니까?

<details><summary>Answer / 답</summary>

Pretraining tells the network how images look. That is worth much if the labels alone cannot tell it. With 60,000 labels
they nearly can, and a network of this depth trains from either start.

사전 학습은 이미지가 어떻게 생겼는지를 신경망에 알려 줍니다. 레이블만으로 그것을 알 수 없을 때 가치가 큽니다. 레이블이 60,000개이면 레이블만으로도 거의 알 수
있고, 이 정도 깊이의 신경망은 어느 쪽에서 시작해도 학습됩니다.
</details>
"""

# %% [markdown]
"""
## Xavier / He initialization

**Xavier** (Glorot & Bengio 2010) keeps signal and gradient level where the activation is nearly linear:

    Var(w) = 2 / (fan_in + fan_out)        normal: N(0, Var(w));  uniform: U(±√(6 / (fan_in + fan_out)))

**He** (He et al. 2015) doubles the variance that the forward pass needs, because a ReLU removes half of the signal:

    Var(w) = 2 / fan_in                    normal: N(0, 2 / fan_in);  uniform: U(±√(6 / fan_in))

The next cell draws from both with `torch.nn.init` and with `jax_impl/initializers.py`. torch stores a weight as (fan_out,
fan_in), Flax a kernel as (fan_in, fan_out).

**Xavier**(Glorot & Bengio 2010)는 활성화 함수가 거의 선형인 구간에서 신호와 gradient의 크기를 유지합니다. **He**(He et al. 2015)는 ReLU가 신호의
절반을 없애므로 순전파에 필요한 분산을 두 배로 합니다. 다음 셀은 `torch.nn.init`과 `jax_impl/initializers.py`로 각각 뽑아 봅니다. torch는 가중치를
(fan_out, fan_in)으로, Flax는 커널을 (fan_in, fan_out)으로 저장합니다.
"""

# %%
fan_in, fan_out = 784, 256
formulas = {
    "xavier_uniform": initializers.xavier_std(fan_in, fan_out),
    "xavier_normal": initializers.xavier_std(fan_in, fan_out),
    "kaiming_uniform": initializers.kaiming_std(fan_in, fan_out),
    "kaiming_normal": initializers.kaiming_std(fan_in, fan_out),
    "linear_default": initializers.linear_default_bound(fan_in) / 3**0.5,  # what nn.Linear draws by itself
}
if TORCH:
    torch.manual_seed(777)
for name, formula in formulas.items():
    kernel = initializers.KERNELS[name]()(jax.random.key(777), (fan_in, fan_out), "float32")
    line = f"{name:16} formula {formula:.5f}, JAX {kernel.std():.5f}"
    if TORCH:
        linear = torch.nn.Linear(fan_in, fan_out)
        if name != "linear_default":
            getattr(torch.nn.init, f"{name}_")(linear.weight)
        line += f", PyTorch {linear.weight.std():.5f}"
    print(line)

# %% [markdown]
"""
The original's Xavier cell printed the last weight after `torch.manual_seed(777)`. `jax_impl/replay/` has torch's random
numbers in NumPy, so the port starts from the same bits, without torch. (The saved session of the original ran the cell
twice.)

원래 노트북의 Xavier 셀은 `torch.manual_seed(777)` 뒤에 마지막 가중치를 출력했습니다. `jax_impl/replay/`는 torch의 난수를 NumPy로 다시 만들므로, torch
없이도 같은 비트에서 시작합니다. (저장된 원래 노트북은 이 셀을 두 번 실행했습니다.)
"""

# %%
session = recipes.named("mnist_nn_xavier").with_changes(init_passes=2)
weight = interop.to_torch(replayed(session, len(images)).params)["linear3.weight"]  # (10, 256)
printed = np.array(  # by the original: the first and last three numbers of the first three rows
    [
        [-0.0039, -0.0166, -0.0415, 0.1375, -0.0556, -0.0868],
        [-0.0806, 0.0315, -0.1408, -0.1330, -0.0807, 0.0600],
        [0.1287, 0.0014, -0.0580, 0.0508, -0.0500, -0.1308],
    ]
)
ours = weight[:3, [0, 1, 2, -3, -2, -1]].round(4)
print(ours)
print("as the original printed:", bool((ours == printed.astype(np.float32)).all()))

# %% [markdown]
"""
### Glorot & Bengio 2010

Before Xavier, people drew from U(±1/√fan_in), as `torch.nn.Linear` still does. On the left: by how much a layer scales a
small change of its input. On the right: in a network of sigmoid units from that older draw, the activations of the top
hidden layer are pushed to 0 within 50 steps, where a sigmoid has little slope.

Xavier 이전에는 U(±1/√fan_in)에서 뽑았고, `torch.nn.Linear`는 지금도 그렇습니다. 왼쪽은 한 층이 입력의 작은 변화를 몇 배로 키우거나 줄이는지 보여 줍니다.
오른쪽은 그런 옛 초기화에서 시작한 sigmoid 신경망입니다. 맨 위 은닉층의 활성값이 50 스텝 안에 0으로 밀려나는데, 그곳에서는 sigmoid의 기울기가 거의 없습니다.
"""

# %%
show_preset("glorot-2010")

# %% [markdown]
"""
The variances of the same linear networks, layer by layer, as means over three seeds. Xavier keeps both directions level.
The older draw keeps a third per layer, forward and backward; the dotted lines are that theory.

같은 선형 신경망에서 층마다 잰 분산을 시드 세 개의 평균으로 그렸습니다. Xavier는 양쪽 방향을 모두 유지합니다. 옛 초기화는 순방향과 역방향 모두 한 층마다
3분의 1만 남깁니다. 점선은 그 이론입니다.
"""


# %%
def draw_variances(figure):
    panels = dict(zip(("variance", "gradient_variance"), figure.subplots(1, 2), strict=True))
    for name, axes in panels.items():
        for init, share in (("xavier_uniform", 1), ("linear_default", 1 / 3)):
            part = numbers["presets"]["glorot-2010"]["parts"][f"linear {init}"]
            values = np.array(part["measured"][name]).mean(axis=0)[:-1]  # of the hidden layers
            layers = np.arange(len(values))
            theory = values[0] * share**layers if name == "variance" else values[-1] * share ** layers[::-1]
            axes.plot(layers + 1, values, ls="", **INITIALISERS[init].points(6), label=init)
            axes.plot(layers + 1, theory, ls=":", color=INITIALISERS[init].color)
        axes.set(yscale="log", xlabel="hidden layer", ylabel=name.replace("_", " "), xticks=layers + 1)
    panels["variance"].legend()


show(draw_variances, 8, 2.8, "Xavier's variances stay level; those of the older draw fall to a third per layer.")

# %% [markdown]
"""
### He et al. 2015

A short training of our own: 30 ReLU layers of 128 units, one epoch of plain SGD, from Xavier and from He.

직접 짧게 학습해 봅니다. 128개 유닛의 ReLU 30층을 Xavier와 He에서 시작하여 SGD로 한 에폭 학습합니다.
"""

# %%
losses = {}
for init in ("xavier_normal", "kaiming_normal"):
    recipe = Recipe(
        name="deep", layers=(784, *[128] * 30, 10), init=init, bias_init="zeros", optimizer="sgd", learning_rate=0.01
    )
    draws = native(recipe, len(images))
    train = jax.jit(partial(run_epoch, optimizer="sgd"))
    state, of_steps = train(start(draws.params, recipe.learning_rate, "sgd"), images, labels, next(draws.orders))
    losses[init] = np.asarray(of_steps).reshape(-1, 20).mean(axis=1)  # of 20 steps each
    share = accuracy(state.params, test_images, test_labels)
    print(f"{init}: loss {losses[init][-1]:.3f} at the end of the epoch, test accuracy {share:.2%}")


def draw_losses(figure):
    axes = figure.subplots()
    for init, values in losses.items():
        axes.plot(20 * np.arange(len(values)) + 10, values, **INITIALISERS[init].line, label=init)
    axes.axhline(np.log(10), color=MUTED, lw=0.8, ls=":")
    axes.text(600, np.log(10), " chance, ln 10", color=MUTED, va="center", fontsize=8)
    axes.set(xlabel="training step", ylabel="training loss (nats)", ylim=(0, 2.6), xlim=(0, 600))
    axes.legend(loc="lower left")


show(draw_losses, 6, 2.8, "Xavier's loss stays at chance; He's falls.")

# %% [markdown]
"""
The recorded reproduction says the same with three seeds. On the left, the scale of the signal: Xavier's falls by 1/√2 per
layer against He's. With ten layers both train, He sooner.

시드 세 개로 기록한 재현 실험도 같은 결과입니다. 왼쪽은 신호의 크기로, Xavier는 He에 비해 한 층마다 1/√2로 줄어듭니다. 10층에서는 둘 다 학습되지만 He가 더
빠릅니다.
"""

# %%
show_preset("he-2015")

# %% [markdown]
"""
Two traps. *Gain*: torch's gain multiplies the standard deviation, √2 for the ReLU. The `scale` of JAX's
`variance_scaling` multiplies the variance. *Truncation*: JAX's `he_normal` is cut at two standard deviations and widened to
the same variance. torch's `kaiming_normal_` is not cut.

두 가지를 조심하십시오. *Gain*: torch의 gain은 표준편차에 곱합니다(ReLU는 √2). JAX의 `variance_scaling`에서 `scale`은 분산에 곱합니다. *Truncation*: JAX의
`he_normal`은 표준편차의 두 배에서 잘리고, 분산이 같아지도록 넓어집니다. torch의 `kaiming_normal_`은 잘리지 않습니다.
"""

# %%
shape = (1000, 1000)
draws_of = {
    name: initializers.KERNELS[name]()(jax.random.key(0), shape, "float32") for name in ("kaiming_normal", "he_normal")
}


def draw_truncation(figure):
    axes = figure.subplots()
    for (name, kernel), color in zip(draws_of.items(), (GREEN, BLUE), strict=True):
        axes.hist(
            np.asarray(kernel).ravel(),
            np.linspace(-0.2, 0.2, 161),
            histtype="step",
            color=color,
            label=f"{name}, deviation {kernel.std():.4f}",
        )
    axes.set(xlabel="weight, fan_in = 1,000", ylabel="count")
    axes.legend(fontsize=7.5)


show(draw_truncation, 6, 2.4, "Histograms of a million weights: he_normal ends at ±0.1, kaiming_normal has tails.")

# %% [markdown]
"""
### Orthogonal matrices and LSUV

Orthogonal matrices (Saxe, McClelland & Ganguli 2013) preserve the length of the signal in every direction. A deep *linear*
network then needs about as many steps whatever its depth.

직교 행렬(Saxe, McClelland & Ganguli 2013)은 모든 방향에서 신호의 길이를 보존합니다. 그래서 깊은 *선형* 신경망이 학습에 필요한 스텝 수가 깊이에 따라
거의 달라지지 않습니다.
"""

# %%
show_preset("orthogonal")

# %% [markdown]
"""
LSUV (Mishkin & Matas 2015) needs no formula: send images through the network, and divide each layer's weights by the
standard deviation of its pre-activations. In `jax_impl/starts/lsuv.py`. It is not always the best: selu was built for a
variance of 1 / fan_in, and trains better without it.

LSUV(Mishkin & Matas 2015)에는 공식이 필요 없습니다. 이미지를 신경망에 통과시키고, 각 층의 가중치를 활성화 이전 값의 표준편차로 나눕니다. 코드는
`jax_impl/starts/lsuv.py`에 있습니다. 언제나 가장 좋은 것은 아닙니다. selu는 분산 1 / fan_in에 맞추어 만들어졌으므로 LSUV 없이 더 잘 학습됩니다.
"""

# %%
show_preset("lsuv")

# %% [markdown]
"""
**Question.** You write `variance_scaling(2.0 ** 0.5, "fan_in", "normal")` in JAX for a ReLU network. What is wrong?

**문제.** ReLU 신경망을 위해 JAX에서 `variance_scaling(2.0 ** 0.5, "fan_in", "normal")`이라고 썼습니다. 무엇이 잘못되었습니까?

<details><summary>Answer / 답</summary>

√2 is torch's gain, which multiplies the standard deviation. JAX's scale multiplies the variance, so it must be 2. With √2,
each layer keeps only 1/√2 of the variance.

√2는 표준편차에 곱하는 torch의 gain입니다. JAX의 scale은 분산에 곱하므로 2여야 합니다. √2를 쓰면 한 층마다 분산이 1/√2로 줄어듭니다.
</details>
"""

# %% [markdown]
"""
## Code: mnist_nn_xavier

The original's program: 784-256-256-10, ReLU, Xavier, Adam, batches of 100. First in PyTorch, the cells of the original for
two epochs. `torch_ref/train.py` and `torch_ref/model.py` have them as a package. (The cost is detached before it is summed;
no number changes.)

원래 노트북의 프로그램입니다. 784-256-256-10, ReLU, Xavier, Adam, 배치 100. 먼저 PyTorch로 원래의 셀을 2 에폭 실행합니다. 이 셀들을 패키지로 만든 것이
`torch_ref/train.py`와 `torch_ref/model.py`입니다. (cost는 더하기 전에 detach합니다. 숫자는 달라지지 않습니다.)
"""

# %%
# PyTorch: the original's cells
learning_rate = 0.001
training_epochs = 2  # of the original's 15
batch_size = 100
torch_costs = []

if TORCH:
    import random

    from torch_ref.data import load

    random.seed(777)
    torch.manual_seed(777)

    mnist_train, _ = load()
    data_loader = torch.utils.data.DataLoader(dataset=mnist_train, batch_size=batch_size, shuffle=True, drop_last=True)

    linear1 = torch.nn.Linear(784, 256, bias=True)
    linear2 = torch.nn.Linear(256, 256, bias=True)
    linear3 = torch.nn.Linear(256, 10, bias=True)
    relu = torch.nn.ReLU()
    torch.nn.init.xavier_uniform_(linear1.weight)
    torch.nn.init.xavier_uniform_(linear2.weight)
    torch.nn.init.xavier_uniform_(linear3.weight)
    model = torch.nn.Sequential(linear1, relu, linear2, relu, linear3)

    criterion = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    total_batch = len(data_loader)
    for epoch in range(training_epochs):
        avg_cost = 0
        for X, Y in data_loader:
            X = X.view(-1, 28 * 28)
            optimizer.zero_grad()
            hypothesis = model(X)
            cost = criterion(hypothesis, Y)
            cost.backward()
            optimizer.step()
            avg_cost += cost.detach() / total_batch
        torch_costs.append(float(avg_cost))
        print("Epoch:", f"{epoch + 1:04d}", "cost =", f"{avg_cost:.9f}")
    print("Learning finished")
else:
    print(NO_TORCH)

# %% [markdown]
"""
The same in JAX. `replayed` gives the initial weights and the batches that torch draws, so both programs compute the same up
to rounding. An epoch is one jitted `lax.scan`. The command is `python -m jax_impl train --epochs 2`.

같은 프로그램을 JAX로 실행합니다. `replayed`는 torch가 뽑는 초기 가중치와 배치를 그대로 주므로, 두 프로그램은 반올림 오차를 빼면 같은 계산을 합니다. 한 에폭은
jit된 `lax.scan` 하나입니다. 명령으로는 `python -m jax_impl train --epochs 2`입니다.
"""

# %%
# JAX
recipe = recipes.named("mnist_nn_xavier").with_changes(epochs=training_epochs)
jax_costs = []
for record, _ in fit(recipe, mnist, replayed(recipe, len(images))):
    jax_costs.append(record.cost)
    print(f"Epoch: {record.epoch:04d} cost = {record.cost:.9f}  test accuracy = {record.test_accuracy:.2%}")
print("Learning finished")
for number, costs in enumerate(zip(jax_costs, torch_costs, strict=False), start=1):
    print(f"epoch {number}: JAX minus PyTorch {costs[0] - costs[1]:+.6f}")

# %% [markdown]
"""
The two differ from the third or fourth digit on, because sums in float32 are rounded in another order. In float64 they
print the same nine digits (`docs/machines.md`).

float32의 합은 더하는 순서에 따라 반올림이 다르므로, 두 결과는 셋째나 넷째 자리부터 다릅니다. float64에서는 아홉 자리가 모두 같습니다
(`docs/machines.md`).

> “Compared with the earlier ones, only the weights were changed, and you can see that the accuracy rose.” · “이전 것들과 비교했을때
> weight만 바꿨는데 도 Accuracy가 오른걸 확인 가능하다.” (the original)

The original never measures an accuracy. The recorded runs do, 15 epochs from three seeds, for N(0, 1), the lab before it,
and for Xavier. The first cost shows why: the logits of the N(0, 1) network have a standard deviation of about a thousand, so it starts out certain and
wrong.

원래 노트북은 정확도를 재지 않습니다. 아래 기록은 이전 실습의 N(0, 1)과 Xavier를 시드 세 개로 15 에폭씩 학습한 것입니다. 첫 cost를 보면 이유를 알 수
있습니다. N(0, 1) 신경망의 logit은 표준편차가 천쯤이므로, 처음부터 틀린 답을 확신합니다.
"""

# %%
show_preset("only-the-weights-changed")
scales = {
    name: float(apply(init_params(recipes.named(name), key=jax.random.key(0)), held_out[:1000]).std())
    for name in ("mnist_nn", "mnist_nn_xavier")
}
for name, value in scales.items():
    print(f"{name}: standard deviation of the logits before training {value:,.2f}")

# %% [markdown]
"""
**Question.** The original's Xavier cell sets the three weights. What are the biases?

**문제.** 원래 노트북의 Xavier 셀은 가중치 세 개를 정합니다. bias는 무엇입니까?

<details><summary>Answer / 답</summary>

They keep `nn.Linear`'s own draw, U(±1/√fan_in). The recipe says so: `bias_init="linear_default"`. The study sets biases to
0, as the papers do.

`nn.Linear`가 스스로 뽑은 U(±1/√fan_in)이 그대로 남습니다. 레시피에는 `bias_init="linear_default"`라고 적혀 있습니다. 위의 비교 실험은 논문처럼 bias를 0으로
둡니다.
</details>
"""

# %% [markdown]
"""
## Code: mnist_nn_deep

The second program that the original names has five layers, 784-512-512-512-512-10, Xavier and Adam. First its PyTorch
cells, without training, then an epoch in JAX.

원래 노트북이 언급한 두 번째 프로그램은 784-512-512-512-512-10의 다섯 층이며 Xavier와 Adam을 씁니다. 먼저 PyTorch 셀을 학습 없이 보고, JAX로 한 에폭
학습합니다.
"""

# %%
# PyTorch
sizes = recipes.named("mnist_nn_deep").layers
if TORCH:
    modules = []
    for inputs, outputs in pairwise(sizes):
        linear = torch.nn.Linear(inputs, outputs, bias=True)
        torch.nn.init.xavier_uniform_(linear.weight)
        modules += [linear, torch.nn.ReLU()]
    print(torch.nn.Sequential(*modules[:-1]))
else:
    print(NO_TORCH)

# %%
# JAX
recipe = recipes.named("mnist_nn_deep").with_changes(epochs=1)
for record, _ in fit(recipe, mnist, replayed(recipe, len(images))):
    print(f"Epoch: {record.epoch:04d} cost = {record.cost:.9f}  test accuracy = {record.test_accuracy:.2%}")

# %% [markdown]
"""
At this depth Xavier still works with a ReLU. Adam hides a wrong scale, up to a point, because it divides each gradient by
its own size. The recorded study shows the point: with ten hidden layers Xavier is level with He under Adam and ten points
behind it under SGD. With thirty, even Adam does not make up for it. torch's default fails first.

이 깊이에서는 ReLU에 Xavier를 써도 학습됩니다. Adam은 gradient를 그 크기로 나누므로 잘못된 크기를 어느 정도까지 가려 줍니다. 기록된 실험이 그 한계를
보여 줍니다. 은닉층 10개에서 Xavier는 Adam으로는 He와 같고 SGD로는 10 퍼센트포인트 뒤처집니다. 30개에서는 Adam도 이를 메우지 못합니다. torch의
기본값이 가장 먼저 실패합니다.
"""

# %%
activations = numbers["grids"]["activations"]
axes_of_grid = ("activation", "optimizer", "hidden layers", "initialiser")
of_cell = {tuple(cell[name] for name in axes_of_grid): cell for cell in activations["cells"]}
compared = list(dict.fromkeys(cell["initialiser"] for cell in activations["cells"]))
settings = [(optimizer, depth) for depth in ("10", "30") for optimizer in ("adam", "sgd")]


def draw_deep(figure):
    for axes, setting in zip(figure.subplots(1, 4, sharey=True), settings, strict=True):
        for place, init in enumerate(compared):
            cell = of_cell["relu", *setting, init]
            mean, deviation = mean_and_deviation(cell)
            axes.bar(place, mean, yerr=deviation, color=INITIALISERS[init].color, ecolor=MUTED)
            axes.text(place, 103, cell["test accuracy"], rotation=90, ha="center", va="bottom", fontsize=7.5)
        axes.set_xticks(range(len(compared)), compared, rotation=90)
        axes.set(ylim=(0, 160), yticks=range(0, 101, 20))
        axes.set_title("{1} hidden layers, {0}".format(*setting))
    figure.supylabel("test accuracy (%)", fontsize=8.5)


show(draw_deep, 10, 4, spoken(of_cell["relu", *setting, init] for setting in settings for init in compared))

# %% [markdown]
"""
### Which one to take

The best of five initialisers by depth, activation and optimizer, two epochs, width 128, three seeds. In short: with a few
layers it hardly matters. ReLU: He, at any depth. tanh: He under SGD, LSUV under Adam. Deep sigmoids: none of these; thirty
layers are dead from every start.

깊이, 활성화 함수, optimizer마다 다섯 가지 초기화 가운데 가장 좋은 것입니다(2 에폭, 폭 128, 시드 세 개). 요약하면, 층이 적을 때는 거의 상관없습니다. ReLU에는
깊이에 관계없이 He를 씁니다. tanh에는 SGD면 He, Adam이면 LSUV를 씁니다. 깊은 sigmoid에는 이 가운데 어느 것도 통하지 않으며, 30층은 어디에서 시작해도 학습되지
않습니다.
"""

# %%
kinds = [(activation, optimizer) for activation in ("relu", "tanh", "sigmoid") for optimizer in ("adam", "sgd")]


def best_of(kind, depth):
    return max((of_cell[*kind, str(depth), init] for init in compared), key=mean_and_deviation)


best = [[best_of(kind, depth) for depth in depths] for kind in kinds]


def draw_best(figure):
    axes = figure.subplots()
    means = [[mean_and_deviation(cell)[0] for cell in row] for row in best]
    axes.imshow(means, cmap="Greens", vmin=0, vmax=250, aspect="auto")
    for row, cells_of_row in enumerate(best):
        for column, cell in enumerate(cells_of_row):
            text = f"{cell['initialiser']}\n{cell['test accuracy']}" if cell["verdict"] != "dead" else "none trains"
            axes.text(column, row, text, ha="center", va="center", color=INK if cell["verdict"] == "trains" else BAD)
    axes.set_xticks(range(len(depths)), [f"{depth} hidden layers" for depth in depths])
    axes.set_yticks(range(len(kinds)), [", ".join(kind) for kind in kinds])
    axes.grid(visible=False)


show(draw_best, 7.5, 4, f"The best of five initialisers: {spoken(cell for row in best for cell in row)}")
print(*activations["measured on"], sep="\n")

# %% [markdown]
"""
**Question.** You train 30 ReLU layers with Adam from Xavier, and the loss falls. Is the initialisation right?

**문제.** ReLU 30층을 Xavier에서 시작하여 Adam으로 학습하니 loss가 줄어듭니다. 초기화가 제대로 된 것입니까?

<details><summary>Answer / 답</summary>

Not yet: in the study, Xavier reaches 65.87 ± 6.93 % there and He 93.68 ± 0.43 %. Look at the variance by layer before
training, as in the first section: it must neither shrink nor grow.

아직 아닙니다. 기록을 보면 여기에서 Xavier는 65.87 ± 6.93 %, He는 93.68 ± 0.43 %입니다. 첫 절에서처럼 학습하기 전에 층마다 분산을 보십시오. 줄어서도, 커져서도
안 됩니다.
</details>
"""
