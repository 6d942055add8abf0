"""Small models of random weights in the published layouts, written by the libraries themselves."""

import argparse
from contextlib import contextmanager

import esm
import torch
from transformers import EsmConfig, EsmForMaskedLM

LAYERS, CHANNELS, HEADS = 3, 32, 4
SEQUENCES = ["MKTAYIAKQRUBZOX", "ACDEFGHIKLMNPQRSTVWY" * 3, "M", "GG"]


def shaken(model):
    """With weights that are not as initialised: norms of 1 and biases of 0 would hide mistakes."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
        model.contact_head.regression.weight.mul_(20)
    return model.eval()


def fair_esm2():
    torch.manual_seed(0)
    return shaken(esm.ESM2(LAYERS, CHANNELS, HEADS))


def fair_esm1b(norm_before=True):
    torch.manual_seed(0)
    options = argparse.Namespace(
        arch="roberta_large",
        layers=LAYERS,
        embed_dim=CHANNELS,
        ffn_embed_dim=4 * CHANNELS,
        attention_heads=HEADS,
        max_positions=1024,
        token_dropout=True,
        emb_layer_norm_before=norm_before,
    )
    alphabet = esm.Alphabet.from_architecture("roberta_large")
    model = shaken(esm.ProteinBertModel(options, alphabet))
    with torch.no_grad():  # as fair-esm does when it loads
        model.embed_tokens.weight[alphabet.mask_idx] = 0.0
    return model


def save_fair_esm(model, path, regression=True, dtype=torch.float32):
    """As the published files are: options under their long names, the regression apart."""
    state = {name: value.to(dtype) for name, value in model.state_dict().items()}
    head = {name: state.pop(name) for name in list(state) if name.startswith("contact_head")}
    named = {}
    for name, value in state.items():
        where = "encoder." if name.startswith("lm_head") else "encoder.sentence_encoder."
        named[where + name] = value
    options = {
        "encoder_layers": LAYERS,
        "encoder_embed_dim": CHANNELS,
        "encoder_ffn_embed_dim": 4 * CHANNELS,
        "encoder_attention_heads": HEADS,
        "token_dropout": True,
    }
    if isinstance(model, esm.ESM2):
        content = {"cfg": {"model": argparse.Namespace(**options)}, "model": named}
    else:
        options |= {"arch": "roberta_large", "max_positions": 1024}
        content = {"args": argparse.Namespace(**options), "model": named}
    torch.save(content, path)
    if regression:
        torch.save({"model": head}, path.with_name(path.stem + "-contact-regression.pt"))
    return path


def hugging_face(rotary=True, norm_before=False):
    torch.manual_seed(0)
    config = EsmConfig(
        vocab_size=33,
        hidden_size=CHANNELS,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        intermediate_size=4 * CHANNELS,
        position_embedding_type="rotary" if rotary else "absolute",
        emb_layer_norm_before=norm_before,
        token_dropout=True,
        mask_token_id=32,
        pad_token_id=1,
        max_position_embeddings=1026,
        layer_norm_eps=1e-5,
        attn_implementation="eager",  # the only one that shows its maps
    )
    model = EsmForMaskedLM(config)
    shaken(model.esm)
    return model.eval()


@contextmanager
def namespaces():
    """What fair-esm's own loader needs since torch 2.6."""
    with torch.serialization.safe_globals([argparse.Namespace]):
        yield


def tokens_of(sequences):
    alphabet = esm.Alphabet.from_architecture("ESM-1b")
    return alphabet.get_batch_converter()([("", sequence) for sequence in sequences])[2]
