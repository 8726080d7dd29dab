module bench;
  logic        clk = 0;
  logic        rst_n, valid, full;
  logic [11:0] sample, average;

  moving_average dut (
    .clk(clk), .rst_n(rst_n), .valid(valid), .sample(sample), .average(average), .full(full)
  );

  always #5 clk = ~clk;

  int errors = 0;
  logic [31:0] seed = 32'h2545_f491;

  function automatic logic [31:0] random();
    seed ^= seed << 13;
    seed ^= seed >> 17;
    seed ^= seed << 5;
    return seed;
  endfunction
  int samples[0:4095];
  int count, sum;

  task automatic check(input string what, input logic [63:0] got, input logic [63:0] want);
    if (got !== want) begin
      if (errors == 0) $display("FAIL %0s is %0h, not %0h, at %0t", what, got, want, $time);
      errors++;
    end
  endtask

  task automatic outputs;
    sum = 0;
    for (int i = 1; i <= 8; i++) if (count - i >= 0) sum += samples[count-i];
    check("average", average, sum / 8);
    check("full", full, count >= 8);
  endtask

  task automatic cycle(input logic is_valid, input int value);
    valid = is_valid;
    sample = 12'(value);
    if (is_valid) begin
      samples[count] = value;
      count++;
    end
    @(negedge clk);
    outputs();
  endtask

  task automatic reset;
    #2 rst_n = 0;
    count = 0;
    #1 outputs();
    @(negedge clk);
    outputs();
    rst_n = 1;
  endtask

  initial begin
    {valid, sample} = '0;
    rst_n = 1;
    @(negedge clk);
    reset();
    repeat (12) cycle(1, 4095);
    repeat (10) cycle(1, 0);
    cycle(1, 8);
    repeat (3) cycle(0, 800);
    repeat (9) cycle(1, 7);
    reset();
    repeat (7) cycle(1, 100);
    cycle(0, 4000);
    cycle(1, 100);
    repeat (2000) begin
      cycle(random() % 4 != 0, int'(random() % 4096));
      if (random() % 100 == 0) reset();
    end
    if (errors == 0) $display("PASS");
    $finish;
  end
endmodule
