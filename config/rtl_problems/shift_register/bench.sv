module bench;
  logic       clk = 0;
  logic       rst_n, serial_in, serial_out;
  logic [1:0] operation;
  logic [7:0] parallel_in, value;

  shift_register dut (
    .clk(clk), .rst_n(rst_n), .operation(operation), .serial_in(serial_in), .parallel_in(parallel_in), .value(value),
    .serial_out(serial_out)
  );

  always #10 clk = ~clk;

  int errors = 0;
  logic [31:0] seed = 32'h2545_f491;

  function automatic logic [31:0] random();
    seed ^= seed << 13;
    seed ^= seed >> 17;
    seed ^= seed << 5;
    return seed;
  endfunction
  logic [7:0] want;

  task automatic check(input string what, input logic [63:0] got, input logic [63:0] want);
    if (got !== want) begin
      if (errors == 0) $display("FAIL %0s is %0h, not %0h, at %0t", what, got, want, $time);
      errors++;
    end
  endtask

  task automatic cycle;
    #1 check("serial_out", serial_out, operation == 1 ? want & 8'd1 : operation == 2 ? want >> 7 : 8'd0);
    case (operation)
      1: want = (want >> 1) | (serial_in ? 8'h80 : 8'h00);
      2: want = 8'(want << 1) | (serial_in ? 8'h01 : 8'h00);
      3: want = parallel_in;
      default: want = want;
    endcase
    @(negedge clk);
    check("value", value, want);
  endtask

  initial begin
    {operation, serial_in, parallel_in} = '0;
    rst_n = 0;
    want = 0;
    @(negedge clk);
    check("value in reset", value, 0);
    rst_n = 1;
    repeat (2000) begin
      operation = 2'(random());
      serial_in = 1'(random());
      parallel_in = 8'(random());
      cycle();
      if (random() % 64 == 0) begin
        #2 rst_n = 0;
        want = 0;
        #1 check("value in reset", value, 0);
        #1 rst_n = 1;
      end
    end
    if (errors == 0) $display("PASS");
    $finish;
  end
endmodule
