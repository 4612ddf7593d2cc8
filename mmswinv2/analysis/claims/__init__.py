"""The paper's claims, each a study of its own on real images: ``tools/analysis/NAME.py`` runs one."""
