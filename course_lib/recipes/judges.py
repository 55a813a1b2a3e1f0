"""The recipes of the two judges: networks that score generated images, and are not used to train the networks that make them."""

from pathlib import Path

import torch

from course_lib import device as devices
from course_lib import teddies
from course_lib.data import fashion_mnist
from course_lib.device import Machine
from course_lib.judges.classifier import Classifier, calibrate, classifier_loss, classify
from course_lib.judges.factor_reader import FactorReader, factor_accuracy, factor_targets, reader_loss
from course_lib.metrics import class_agreement
from course_lib.recipes import configs
from course_lib.recipes.store import FASHION_MNIST, TEDDIES, RunOptions, build, recipe, save
from course_lib.training import TrainResult, train


@recipe("fashion-classifier", Classifier, FASHION_MNIST, shipped=True)
def fashion_classifier(
    out: Path | None = None, machine: Machine | None = None, options: RunOptions | None = None
) -> TrainResult[Classifier]:
    """The workbook's own judge of Fashion-MNIST, shipped as ``data/weights/fashion_classifier.safetensors``.

    About a minute on two cores; test accuracy 90.5 % or more, calibrated on 5,000 images held out of training.
    """
    machine, options = machine or devices.find(), options or RunOptions()
    training = options.apply(configs.FASHION_CLASSIFIER)
    images, labels = fashion_mnist("train", machine.device)
    net = build(Classifier, {}, training.seed)
    result = train(net, classifier_loss, (images[5000:], labels[5000:]), training, machine=machine)
    result.ema.to(machine.device)  # "fsdp" leaves it on the CPU
    temperature = calibrate(result.ema, images[:5000], labels[:5000])
    test_images, test_labels = fashion_mnist("test", machine.device)
    accuracy = class_agreement(classify(result.ema, test_images)[1], test_labels)
    facts = {"metrics": {"test_accuracy": accuracy, "temperature": temperature}}
    save("fashion-classifier", result, training, {}, out, facts)
    return result


@recipe("teddies-reader", FactorReader, TEDDIES, shipped=True)
def teddies_reader(
    out: Path | None = None, machine: Machine | None = None, options: RunOptions | None = None
) -> TrainResult[FactorReader]:
    """The network that reads the factors of Teddies from images, shipped as ``data/weights/teddies_reader.safetensors``.

    About five minutes on two cores; on new images every semantic factor is right in 97 % or more. As a judge it has seen
    every combination of factors, unlike all other networks.
    """
    machine, options = machine or devices.find(), options or RunOptions()
    training = options.apply(configs.TEDDIES_READER)
    sizes = {False: configs.NUM_TEDDIES * 9 // 10, True: configs.NUM_TEDDIES // 10}  # unseen combinations or not
    sets = [teddies.dataset(n, 4, device=machine.device, unseen=unseen) for unseen, n in sizes.items()]
    images = torch.cat([some for some, _ in sets])
    targets = [torch.cat(pair) for pair in zip(*(factor_targets(factors) for _, factors in sets), strict=True)]
    net = build(FactorReader, {}, training.seed)
    result = train(net, reader_loss, (images, *targets), training, machine=machine)
    result.ema.to(machine.device)  # "fsdp" leaves it on the CPU
    test_images, test_factors = teddies.dataset(2000, 5, device=machine.device)
    facts = {"metrics": factor_accuracy(result.ema, test_images, test_factors)}
    save("teddies-reader", result, training, net.config, out, facts)
    return result
