"""Import a protein language model and get contacts from it.

    python examples/import_checkpoint.py esm2_t6_8M_UR50D.pt [FOLDER]

The file is fair-esm's, with its -contact-regression.pt beside it, or a folder of Hugging Face's
EsmForMaskedLM. It is read without running anything that it holds.
"""

# %% Import: one file that describes itself
import sys
from pathlib import Path

import protcontact
from protcontact.cli import main

SOURCE = Path(sys.argv[1])
OUT = Path(sys.argv[2] if len(sys.argv) > 2 else "example_import")
OUT.mkdir(parents=True, exist_ok=True)
MODEL = OUT / "model.safetensors"
if main(["import", str(SOURCE), "--out", str(MODEL)]) != 0:
    sys.exit("not imported")

# %% Contacts of sequences, in Python
SEQUENCES = {
    "ubiquitin": "MQIFVKTLTGKTITLEVEPSDTIENVKAKIQDKEGIPPDQQRLIFAGKQLEDGRTLSDYNIQKESTLHLVLRLRGG",
    "short": "MKTAYIAKQRQISFVKSHFSRQ",
}
model = protcontact.load_pretrained(str(MODEL))
ids, mask = model.ids_of(list(SEQUENCES.values()))
logits = model.contact_logits_of_ids(ids, mask)
print(f"logits {tuple(logits.shape)}; 0 at the padding of the shorter sequence")

# %% The same as files: RR, npz, a picture; long chains go in windows
fasta = OUT / "proteins.fasta"
fasta.write_text("".join(f">{name}\n{text}\n" for name, text in SEQUENCES.items()))
words = ["--checkpoint", str(MODEL), "--fasta", str(fasta), "--out", str(OUT / "maps")]
sys.exit(main(["contacts", *words]))
