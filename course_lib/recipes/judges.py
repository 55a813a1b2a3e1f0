"""The recipes of the two judges: networks that score what the others generate, and train none of them."""

from pathlib import Path

import torch

from course_lib import device as devices
from course_lib import teddies
from course_lib.data import fashion_mnist
from course_lib.device import Machine
from course_lib.judges import factor_reader
from course_lib.judges.classifier import TRAINING, Classifier, calibrate, classifier_loss, classify
from course_lib.metrics import class_agreement
from course_lib.recipes import configs
from course_lib.recipes.store import FASHION, TEDDIES, RunOptions, build, recipe, save
from course_lib.training import TrainConfig, TrainResult, train


@recipe("fashion-classifier", Classifier, FASHION, shipped=True)
def fashion_classifier(out: Path | None = None, machine: Machine | None = None, options: RunOptions | None = None) -> TrainResult:
    """The workbook's own judge of Fashion-MNIST, shipped as ``data/weights/fashion_classifier.safetensors``.

    About a minute on two cores; test accuracy 90.5 % or more, calibrated on 5,000 images held out of training.
    """
    machine, options = machine or devices.find(), options or RunOptions()
    training = options.apply(TrainConfig(**TRAINING))
    images, labels = fashion_mnist("train", machine.device)
    net = build("fashion-classifier", {}, training.seed)
    result = train(net, classifier_loss, (images[5000:], labels[5000:]), training, machine=machine)
    result.ema.to(machine.device)  # "fsdp" leaves it on the CPU
    temperature = calibrate(result.ema, images[:5000], labels[:5000])
    test_images, test_labels = fashion_mnist("test", machine.device)
    accuracy = class_agreement(classify(result.ema, test_images)[1], test_labels)
    facts = {"metrics": {"test_accuracy": accuracy, "temperature": temperature}}
    save("fashion-classifier", result, training, {}, out, facts)
    return result


@recipe("teddies-reader", factor_reader.FactorReader, TEDDIES, shipped=True)
def teddies_reader(out: Path | None = None, machine: Machine | None = None, options: RunOptions | None = None) -> TrainResult:
    """Reads the factors of Teddies from images, shipped as ``data/weights/teddies_reader.safetensors``.

    About five minutes on two cores; on new images every semantic factor is right in 97 % or more. It is a judge, so it alone
    has seen every combination of factors.
    """
    machine, options = machine or devices.find(), options or RunOptions()
    training = options.apply(TrainConfig(**factor_reader.TRAINING))
    (some, shown), (others, also) = (teddies.dataset(n, 4, device=machine.device, unseen=unseen) for n, unseen in
                                     ((configs.TEDDIES * 9 // 10, False), (configs.TEDDIES // 10, True)))  # fmt: skip
    parts = [torch.cat(pair) for pair in zip(factor_reader.factor_targets(shown), factor_reader.factor_targets(also), strict=True)]
    net = build("teddies-reader", {}, training.seed)
    result = train(net, factor_reader.reader_loss, (torch.cat([some, others]), *parts), training, machine=machine)
    result.ema.to(machine.device)  # "fsdp" leaves it on the CPU
    tests, factors = teddies.dataset(2000, 5, device=machine.device)
    facts = {"metrics": factor_reader.factor_accuracy(result.ema, tests, factors)}
    save("teddies-reader", result, training, net.config, out, facts)
    return result
