"""The proof: gas and reward paths, the exact clairvoyant, the race of policies. numpy lives here and nowhere else."""
