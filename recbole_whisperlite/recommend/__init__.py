"""Ask a trained model: for any request, without RecBole, dataset or checkpoint."""
