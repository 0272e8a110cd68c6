using BenchmarkDotNet.Analysers;
using BenchmarkDotNet.Columns;
using BenchmarkDotNet.Diagnosers;
using BenchmarkDotNet.Engines;
using BenchmarkDotNet.Exporters;
using BenchmarkDotNet.Loggers;
using BenchmarkDotNet.Reports;
using BenchmarkDotNet.Running;
using BenchmarkDotNet.Validators;

namespace VmShunt.Perf.Bench.Counters;

/// <summary>Adds a column for each counter that benchmarks report to <see cref="RequestCounters"/>.</summary>
internal sealed class CountersDiagnoser : IDiagnoser
{
    public IEnumerable<string> Ids => [nameof(CountersDiagnoser)];

    public IEnumerable<IExporter> Exporters => [];

    public IEnumerable<IAnalyser> Analysers => [];

    public RunMode GetRunMode(BenchmarkCase benchmarkCase) => RunMode.NoOverhead;

    public void Handle(HostSignal signal, DiagnoserActionParameters parameters)
    {
        // Drops the counters of a benchmark that failed.
        if (signal == HostSignal.BeforeAnythingElse) _ = RequestCounters.Take();
    }

    public IEnumerable<Metric> ProcessResults(DiagnoserResults results) =>
        [.. RequestCounters.Take().Select(static counter => new Metric(new Descriptor(counter.Name, counter.Legend), counter.PerRequest))];

    public void DisplayResults(ILogger logger)
    {
        // The columns show it.
    }

    public IEnumerable<ValidationError> Validate(ValidationParameters validationParameters) => [];

    private sealed class Descriptor(string name, string legend) : IMetricDescriptor
    {
        public string Id => name;

        public string DisplayName => name;

        public string Legend => legend;

        public string NumberFormat => "0.##";

        public UnitType UnitType => UnitType.Dimensionless;

        public string Unit => "";

        public bool TheGreaterTheBetter => false;

        public int PriorityInCategory => 0;

        public bool GetIsAvailable(Metric metric) => true;
    }
}
